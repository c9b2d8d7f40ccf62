"""One worker's looks at what its tasks print and report: read, say in the log, tell Redis, and remove after the end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridq.broker.holder import Holder
from gridq.printable import plain
from gridq.store import output, progress
from gridq.store.client import Client
from gridq.store.output import Limits, Part, Source
from gridq.units import MIB, format_bytes
from gridq.worker.desk import Desk, parse_name
from gridq.worker.pad import collect, open_for, owner, pads, remove
from gridq.worker.tail import Tail

#: What tasks print, line by line, for those who watch the worker's log as they would with stock Celery.
logger = logging.getLogger("gridq.output")

#: Tasks that have ended and whose words wait for Redis at most: it may refuse them while it goes on to give out tasks.
_MOST_ENDED = 64
#: Bytes that one task may say at each look: to Redis, and in the log.
_MOST, _MOST_LOGGED = MIB, 64 * 1024


@dataclass(slots=True)
class _Task:
    """A task whose files are there, or were."""

    source: Source
    tail: Tail | None = None
    #: The beginning of a line whose end has not come.
    line: str = ""
    reported: bytes = b""
    told: bytes = b""
    #: Which run of the task this is; None before Redis has said so, 0 if it knows nothing of the task.
    attempt: int | None = None
    ended: bool = False

    @property
    def has_news(self) -> bool:
        return self.reported != self.told or self.ended or bool(self.tail and self.tail.parts)


class Relay:
    """Passes on what one worker's tasks print and report.

    Args:
        desk: where they leave it.
        holder: who knows which of them run.
        limits: how much of it is kept.
    """

    def __init__(self, desk: Desk, holder: Holder, limits: Limits) -> None:
        self._desk = desk
        self._holder = holder
        self._limits = limits
        self._tasks: dict[str, _Task] = {}
        #: Where those print that run, by name.
        self._pads: dict[str, Path] = {}

    @property
    def has_news(self) -> bool:
        """Whether there is something to tell Redis."""
        return any(task.has_news for task in self._tasks.values())

    def read(self) -> None:
        """Read what is new, and say in the log what was printed."""
        # Those whose turn to be told has come and gone: of what has ended since, all is told first.
        for name in [name for name, task in self._tasks.items() if task.ended][:-_MOST_ENDED]:
            logger.warning("what task %s printed is lost: Redis does not take it", self._tasks[name].source.task_id)
            self._forget(name)
        # In this order: a task whose file is there has begun, so that it runs or has ended; and what it printed before
        # its end is in its file when its end is known.
        self._look_at_pads()
        names = {*self._pads, *_names(self._desk.printed), *_names(self._desk.reported)}
        held = set(self._holder.running)
        # The numbers at the end of claims grow, and so do their lengths: of two attempts the first comes first.
        for name in sorted(names - self._tasks.keys(), key=lambda name: (len(parse_name(name)[0]), name)):
            claim, task_id = parse_name(name)
            self._tasks[name] = _Task(Source(task_id, claim, self._holder.worker))
        for name, task in self._tasks.items():
            self._read(name, task, task.source.claim in held)

    def tell(self, client: Client) -> None:
        """Tell Redis, and forget what has ended."""
        for name, task in list(self._tasks.items()):
            if task.reported != task.told:
                self._tell_progress(client, task)
            self._tell_printed(client, task)
            if task.ended:
                self._forget(name)

    def close(self) -> None:
        """Remove all files: the worker ends."""
        for name in list(self._tasks):
            self._forget(name)
        for pad in list(pads(self._desk.pads)):
            remove(pad)
        self._desk.remove()

    def _look_at_pads(self) -> None:
        self._pads = {}
        for pad in list(pads(self._desk.pads)):
            collect(pad, self._desk.printed)
            name = owner(pad)
            if name is not None:
                self._pads[name] = pad

    def _open(self, name: str) -> Tail | None:
        """What the task prints or has printed; None if that is nothing."""
        file: int | None = None
        try:
            file = os.open(self._desk.printed / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if name in self._pads:
                file = open_for(name, self._pads[name])
        return None if file is None else Tail(file, min(_MOST, max(1, self._limits.task)))

    def _read(self, name: str, task: _Task, runs: bool) -> None:
        with contextlib.suppress(FileNotFoundError):
            task.reported = (self._desk.reported / name).read_bytes().partition(b"\n")[0]
        if task.tail is None:
            task.tail = self._open(name)
        # What a task has left behind may go on to print after its end.
        if task.tail is not None:
            ends = not runs and not task.tail.is_written
            self._log(task, task.tail.finish() if ends else task.tail.look(), ends)
            task.ended = ends
        else:
            task.ended = not runs

    def _log(self, task: _Task, fresh: Iterable[Part], ends: bool) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return
        text = task.line + "".join(part.text for part in fresh)
        *lines, task.line = text[-_MOST_LOGGED:].split("\n")
        if ends:
            lines.append(task.line)
        elif len(task.line) == _MOST_LOGGED:
            lines, task.line = [task.line], ""
        if len(text) > _MOST_LOGGED:
            more = format_bytes(len(text) - _MOST_LOGGED)
            logger.info("task %s printed a lot, %s are left out here: gridq logs", task.source.task_id, more)
        for line in lines:
            # As on a terminal, what comes after a carriage return stands in place of what came before it.
            if shown := plain(line.rstrip("\r").rpartition("\r")[2]):
                logger.info("task %s: %s", task.source.task_id, shown)

    def _tell_progress(self, client: Client, task: _Task) -> None:
        said = _report(task.reported)
        if said is not None:
            source = task.source
            progress.note(client, source.task_id, source.claim, **said)
        task.told = task.reported

    def _tell_printed(self, client: Client, task: _Task) -> None:
        tail = task.tail
        if tail is None:
            return
        while tail.parts:
            self._append(client, task, tail.parts[0])
            tail.taken()
        if task.ended and task.attempt:
            self._append(client, task, Part("", ends=True))

    def _append(self, client: Client, task: _Task, part: Part) -> None:
        if task.attempt != 0:
            task.attempt = output.append(client, task.source, part, self._limits, task.attempt)

    def _forget(self, name: str) -> None:
        task = self._tasks.pop(name)
        if task.tail is not None:
            task.tail.close()
        (self._desk.printed / name).unlink(missing_ok=True)
        (self._desk.reported / name).unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    # A folder in which nothing happened for weeks may have been tidied away.
    with contextlib.suppress(FileNotFoundError):
        return [path.name for path in folder.iterdir()]
    return []


def _report(text: bytes) -> dict[str, Any] | None:
    """What a task reported; None for what none of our tasks has written."""
    try:
        said = json.loads(text)
        total = said["total"]
        return {
            "done": float(said["done"]),
            "total": None if total is None else float(total),
            "text": str(said["note"]),
        }
    except (ValueError, TypeError, KeyError):
        return None
