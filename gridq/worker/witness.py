"""Which tasks were on a GPU when an XID error happened there, written into their records."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gridq.broker.holder import Held
from gridq.errors import BrokerError
from gridq.gpu.xid import XidEvent, lookup
from gridq.store import tasks
from gridq.store.client import Client, ServerError
from gridq.store.tasks import XidNote

logger = logging.getLogger(__name__)

LATE = 5.0
"""Seconds by which an XID may come after the end of the task that it is about: a driver tells some when it cleans up
after a program, and a probe asks once a second."""
#: Seconds between two tries to reach Redis.
_AGAIN = 1.0
#: Notes that wait for Redis at most; more say nothing new.
_MOST = 256


@dataclass(frozen=True, slots=True)
class Presence:
    """A task on the worker's GPUs: when it came and went, in seconds of one clock (`gone` None while it is there), and
    the child that runs it, None where that is not known."""

    task: str
    came: float
    gone: float | None = None
    pid: int | None = None


def present(task: Held, *, gone: float | None, offset: float) -> Presence:
    """What a holder knows of a task, by the clock of XIDs; `offset` is that clock minus the holder's."""
    return Presence(task.task_id, task.since + offset, None if gone is None else gone + offset, task.pid)


def concerned(event: XidEvent, presences: Iterable[Presence]) -> list[str]:
    """The tasks that were on the GPU when the XID happened, each once, by id; where it names a process of one of them,
    that one alone."""
    there = [
        task for task in presences if task.came <= event.at and (task.gone is None or event.at <= task.gone + LATE)
    ]
    hit = [task for task in there if event.pid is not None and task.pid is not None and _runs_in(event.pid, task.pid)]
    # One that came back to the same GPU was there twice.
    return list(dict.fromkeys(task.task for task in hit or there))


def _runs_in(pid: int, child: int) -> bool:
    """Whether the process is a task's child, or was started by it: children lead groups of their own."""
    if pid == child:
        return True
    try:
        return os.getpgid(pid) == child
    except OSError:
        return False


class Witness:
    """Writes notes from a thread of its own, since Redis may be away and nobody else should wait for it.

    Args:
        worker: the worker's name.
        connect: opens a connection to Redis.
    """

    def __init__(self, worker: str, connect: Callable[[], Client]) -> None:
        self._worker = worker
        self._connect = connect
        self._client: Client | None = None
        self._notes: queue.Queue[tuple[XidNote, float, list[str]] | None] = queue.Queue(_MOST)
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def note(self, gpu: str, event: XidEvent, presences: Iterable[Presence]) -> None:
        """Say which tasks were on the GPU, in the log and in their records."""
        xid = lookup(event.number)
        ids = concerned(event, presences)
        note = XidNote(event.number, xid.meaning, gpu, self._worker)
        logger.warning("%s: %s; %s", gpu, xid, "no task was on it" if not ids else f"{len(ids)} task(s) were on it")
        for task in ids:
            logger.warning("task %s was on the GPU when XID %d fired", task, event.number, extra={"task_id": task})
        if not ids:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="gridq-witness", daemon=True)
            self._thread.start()
        try:
            self._notes.put_nowait((note, event.at, ids))
        except queue.Full:
            logger.error("XID %d is not noted in the records of its tasks: Redis is away for long", event.number)

    def stop(self) -> None:
        """Write what is left, if Redis answers."""
        self._stopping.set()
        if self._thread is not None:
            try:
                self._notes.put_nowait(None)
            except queue.Full:
                pass
            self._thread.join(_AGAIN)

    def _write(self) -> None:
        while (note := self._notes.get()) is not None:
            while not self._written(*note) and not self._stopping.wait(_AGAIN):
                pass
        if self._client is not None:
            self._client.close()

    def _written(self, note: XidNote, at: float, ids: list[str]) -> bool:
        try:
            self._client = self._client or self._connect()
            tasks.note_xid(self._client, ids, note, age=max(0.0, time.monotonic() - at))
        except (ServerError, OSError, BrokerError) as error:
            logger.info("XID %d is noted in the records of its tasks once Redis answers: %s", note.number, error)
            return False
        except Exception:  # A note that cannot be written must not keep all later ones from it.
            logger.exception("XID %d is not noted in the records of its tasks", note.number)
        return True
