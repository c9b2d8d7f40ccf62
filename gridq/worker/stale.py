"""Children that must be replaced: those that an error of the GPU has hit, and those in which CUDA has stopped working.

The latter say so themselves, in a file named by their pid. Without that, a task that reads a wrong address would fail
each task that its process is given afterwards; and since these fail at once, the GPU would seem the lightest of all.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import signals

from gridq.worker.cuda import fatal_error
from gridq.worker.guard import kill_group

_MOST_ENDED = 16


@dataclass(frozen=True, slots=True)
class Excuse:
    """Why a child that has died was to be replaced, and as what the loss of its task counts, see `leases.Charge`."""

    reason: str
    counter: str = ""


class Stale:
    """The stale children of one worker.

    Args:
        folder: where children leave word; None where there is no such place.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._marked: dict[int, str] = {}
        self._ended: dict[int, Excuse] = {}
        for pid in self._told():
            # The last worker's child; ours may get the number.
            self._forget_word(pid)

    def mark(self, pids: Iterable[int], why: str) -> None:
        """An error of the GPU has hit these; each is to be replaced when its task has ended."""
        self._marked |= dict.fromkeys(pids, why)

    def among(self, living: set[int]) -> dict[int, str]:
        """Those of the living children that are to be replaced, and why."""
        stale = self._marked | {pid: word.reason for pid in self._told() if (word := self._word_of(pid))}
        for pid in stale.keys() - living:
            # It went by itself; whose task it was is perhaps not known yet.
            if excuse := self._excuse_of(pid):
                self._keep(pid, excuse)
            del stale[pid]
        return stale

    def end(self, pid: int) -> None:
        """Kill a child that runs no task; the pool starts another in its place."""
        # A task that it is given in this very moment is not to blame.
        excuse = self._excuse_of(pid)
        self._keep(pid, Excuse(excuse.reason if excuse else ""))
        kill_group(pid)

    def excuse(self, pid: int | None) -> Excuse | None:
        """Why a child that has died was to be replaced, and what its task is charged with then. None if it was not."""
        if pid is None:
            return None
        excuse = self._ended.pop(pid, None) or self._excuse_of(pid)
        self._forget_word(pid)
        return excuse

    def _excuse_of(self, pid: int) -> Excuse | None:
        marked = self._marked.pop(pid, None)
        # Without a word the task that it ran may be what upset the GPU.
        return self._word_of(pid) or (None if marked is None else Excuse(marked, "gpu_losses"))

    def _keep(self, pid: int, excuse: Excuse) -> None:
        self._ended[pid] = excuse
        self._forget_word(pid)
        # Long ago is another process with that pid.
        for old in list(self._ended)[:-_MOST_ENDED]:
            self._ended.pop(old, None)

    def _told(self) -> list[int]:
        if self._folder is None:
            return []
        with contextlib.suppress(OSError):
            return [int(word.name) for word in self._folder.iterdir() if word.name.isdecimal()]
        return []

    def _word_of(self, pid: int) -> Excuse | None:
        if self._folder is None:
            return None
        try:
            counter, _, reason = (self._folder / str(pid)).read_text("utf-8").partition("\n")
        except OSError:
            return None
        return Excuse(reason, counter)

    def _forget_word(self, pid: int) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / str(pid)).unlink()


def follow(folder: Path) -> None:
    """In each child: leave word when CUDA has stopped working, and begin no task after that."""
    parent = os.getpid()

    def begin(task: Any, **_: Any) -> None:
        # The parent has not come to end it in time. Nothing of the task has happened yet, so that it can run again; one
        # that was acknowledged cannot, and fails with what CUDA says.
        if _is_ours(task) and _leave_word(folder, counter="") and task.acks_late:
            os._exit(os.EX_UNAVAILABLE)

    def end(task: Any, **_: Any) -> None:
        if _is_ours(task):
            # Should the process die of it before the task's end is told, the task itself is what broke it.
            _leave_word(folder, counter="gpu_losses")

    def _is_ours(task: Any) -> bool:
        # A pool without children has nobody to replace; a task without a claim runs as a part of another.
        return os.getpid() != parent and "claim" in (task.request.delivery_info or {})

    signals.task_prerun.connect(begin, weak=False)
    signals.task_postrun.connect(end, weak=False)


def _leave_word(folder: Path, counter: str) -> bool:
    """Whether CUDA has stopped working here; then the file says with which error, and what a loss counts as."""
    error = fatal_error()
    if error is None:
        return False
    with contextlib.suppress(OSError):
        made = folder / f"{os.getpid()}.new"
        made.write_text(f"{counter}\nCUDA stopped working in its process ({error}), and that was replaced", "utf-8")
        made.rename(folder / str(os.getpid()))
    return True
