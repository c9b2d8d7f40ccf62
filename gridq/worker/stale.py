"""Children that must be replaced: those that an error of the GPU has hit, and those in which CUDA has stopped working.

The latter say so themselves, in a file named by their pid. Without that, a task that reads a wrong address would fail
each task that its process is given afterwards; and since these fail at once, the GPU would seem the lightest of all.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from celery import signals

from gridq.worker.cuda import fatal_error
from gridq.worker.guard import kill_group

_MOST_ENDED = 16


class Stale:
    """The stale children of one worker.

    Args:
        folder: where children leave word; None where there is no such place.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._marked: dict[int, str] = {}
        self._ended: dict[int, str] = {}
        for pid in self._told():
            # The last worker's child; ours may get the number.
            self._forget_word(pid)

    def mark(self, pids: Iterable[int], why: str) -> None:
        """These are to be replaced, each when its task has ended."""
        self._marked |= dict.fromkeys(pids, why)

    def among(self, living: set[int]) -> dict[int, str]:
        """Those of the living children that are to be replaced, and why."""
        for pid in self._told():
            if reason := self._word_of(pid):
                self._marked[pid] = reason
        for pid in self._marked.keys() - living:
            # It went by itself; whose task it was is perhaps not known yet.
            self._keep(pid, self._marked.pop(pid, ""))
        return dict(self._marked)

    def end(self, pid: int) -> None:
        """Kill a child that runs no task; the pool starts another in its place."""
        # A task that it is given in this very moment is not to blame.
        self._keep(pid, self._marked.pop(pid, ""))
        kill_group(pid)

    def excuse(self, pid: int | None) -> str | None:
        """Why a child that has died was to be replaced: then its task is not to blame. None if it was not."""
        if pid is None:
            return None
        reason = self._ended.pop(pid, None) or self._marked.pop(pid, None) or self._word_of(pid)
        self._forget_word(pid)
        return reason

    def _keep(self, pid: int, why: str) -> None:
        self._ended[pid] = why
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

    def _word_of(self, pid: int) -> str | None:
        if self._folder is None:
            return None
        try:
            return (self._folder / str(pid)).read_text("utf-8") or None
        except OSError:
            return None

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
        if _is_ours(task) and _leave_word(folder) and task.acks_late:
            os._exit(os.EX_UNAVAILABLE)

    def end(task: Any, **_: Any) -> None:
        if _is_ours(task):
            _leave_word(folder)

    def _is_ours(task: Any) -> bool:
        # A pool without children has nobody to replace; a task without a claim runs as a part of another.
        return os.getpid() != parent and "claim" in (task.request.delivery_info or {})

    signals.task_prerun.connect(begin, weak=False)
    signals.task_postrun.connect(end, weak=False)


def _leave_word(folder: Path) -> bool:
    """Whether CUDA has stopped working here; then the file says with which error."""
    error = fatal_error()
    if error is None:
        return False
    with contextlib.suppress(OSError):
        made = folder / f"{os.getpid()}.new"
        made.write_text(f"CUDA stopped working in its process ({error}), and that was replaced", "utf-8")
        made.rename(folder / str(os.getpid()))
    return True
