"""How far a task is, told by the task itself: `gridq.progress(3, 10)` and `for item in gridq.track(items)`.

What it says goes into a small file, which the worker reads and passes on. Outside of a task it goes nowhere.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import operator
import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from gridq.errors import ProgressWarning

T = TypeVar("T")

#: Characters. As JSON it has to fit into a page of memory together with two numbers.
_LONGEST_NOTE = 200


class Reporter:
    """Writes how far one task is, so cheaply that a loop may report at each turn: into memory that is a file.

    Args:
        path: of the file; it comes into being with the first report, and holds JSON and a newline.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._memory: mmap.mmap | None = None
        self._closed = False
        self._lock = threading.Lock()

    def report(self, done: float, total: float | None, note: str) -> None:
        """Say it."""
        said = json.dumps({"done": done, "total": total, "note": note}).encode() + b"\n"
        # A report of a thread that outlives its task comes too late. A full disk must not end a task.
        with self._lock, contextlib.suppress(OSError):
            if not self._closed:
                self._memory = self._memory or self._open()
                self._memory[: len(said)] = said

    def close(self) -> None:
        """The task has ended."""
        with self._lock:
            self._closed = True
            if self._memory is not None:
                self._memory.close()

    def _open(self) -> mmap.mmap:
        file = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            # Where there is no room for it the task would die of writing to it.
            os.posix_fallocate(file, 0, mmap.PAGESIZE)
            return mmap.mmap(file, mmap.PAGESIZE)
        finally:
            os.close(file)


class _Current:
    """The reporter of the task that runs: in this thread or, where a process runs one task at a time, in this process,
    so that threads which the task starts can report too."""

    def __init__(self) -> None:
        self.of_process: Reporter | None = None
        self.of_context: ContextVar[Reporter | None] = ContextVar("gridq_reporter", default=None)


_current = _Current()


def follow(reporter: Reporter | None, *, alone: bool) -> None:
    """From now on the running task reports there; None at its end.

    Args:
        alone: whether the process runs no other task meanwhile.
    """
    if alone:
        _current.of_process = reporter
    else:
        _current.of_context.set(reporter)


def _reporter() -> Reporter | None:
    return _current.of_context.get() or _current.of_process


def progress(done: float, total: float | None = None, note: str = "") -> None:
    """Say how far the running task is; `gridq show`, `gridq top` and the API show it, with the time that is left.

    Call it as often as you like, it takes microseconds: what was said last goes out four times a second. Outside of a
    task, as in a test, it does nothing. Numbers that make no sense are put right with a ProgressWarning, once for each
    place, and are never an error: a slip in a report should not end a training of a week.

    Args:
        done: how much is done, in any unit: steps, bytes, epochs.
        total: how much there is to do, in the same unit; None if nobody knows.
        note: a few words, such as the loss; 200 characters are kept.
    """
    reporter = _reporter()
    if reporter is not None:
        said, whole = _number(done, "done"), None if total is None else _number(total, "total")
        if said is not None:
            reporter.report(_within(said, whole), whole, str(note)[:_LONGEST_NOTE])


def track(items: Iterable[T], total: float | None = None, note: str = "") -> Iterator[T]:
    """Go through the items, and say by `progress` how many are done.

    Args:
        items: anything that a `for` loop takes.
        total: how many there are; None to ask `len(items)`.
        note: a few words.

    Returns:
        An iterator of the items.
    """
    count = (operator.length_hint(items) or None) if total is None else total
    progress(0, count, note)
    for done, item in enumerate(items, 1):
        yield item
        progress(done, count, note)


def _number(value: Any, name: str) -> float | None:
    """The value as a number, also of numpy's and torch's kinds; None, with a warning, for what is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        _warn(f"expected {name} to be a number, got {value!r}; this report is left out")
        return None
    return int(number) if number.is_integer() else number


def _within(done: float, total: float | None) -> float:
    if done < 0 or (total is not None and done > max(0, total)):
        limits = f"from 0 to {total:g}" if total is not None else "0 or more"
        _warn(f"expected done to be {limits}, got {done:g}; the nearest of these is reported")
        return max(0, done if total is None else min(done, total))
    return done


def _warn(text: str) -> None:
    warnings.warn(f"gridq.progress: {text}", ProgressWarning, stacklevel=4)
