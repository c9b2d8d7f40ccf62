"""How far a task is, told by the task itself: `gridq.progress(3, 10)` and `for item in gridq.track(items)`.

What it says goes into a small file, which the worker passes on. Outside of a task it goes nowhere.
"""

from __future__ import annotations

import contextlib
import json
import math
import operator
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from gridq.errors import ProgressWarning

T = TypeVar("T")

#: Seconds between two writes: a loop may turn a million times a second.
_PAUSE = 0.2
_LONGEST_NOTE = 200


class Reporter:
    """Writes how far one task is.

    Args:
        file: where; it and a name beside it with a dot in front are the reporter's own.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._beside = file.with_name(f".{file.name}")
        self._lock = threading.Lock()
        self._next = 0.0
        self._unwritten: dict[str, Any] | None = None

    def report(self, done: float, total: float | None, note: str) -> None:
        """Say it; at once if the last time was a while ago, else by the next report or by `flush`."""
        with self._lock:
            self._unwritten = {"done": done, "total": total, "note": note}
            if time.monotonic() >= self._next or done == total:
                self._write()

    def flush(self) -> None:
        """Write what is not written yet."""
        with self._lock:
            if self._unwritten is not None:
                self._write()

    def _write(self) -> None:
        # A full disk must not end a task; what could not be said now is said by the next report.
        with contextlib.suppress(OSError):
            self._beside.write_text(json.dumps(self._unwritten), "utf-8")
            self._beside.replace(self._file)
            self._unwritten = None
        self._next = time.monotonic() + _PAUSE


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

    Call it as often as you like: five times a second it goes out, and the last one always does. Outside of a task, as
    in a test, it does nothing. Numbers that make no sense are put right with a ProgressWarning, once for each place,
    and are never an error: a slip in a report should not end a training of a week.

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
    reporter = _reporter()
    if reporter is not None:
        reporter.flush()


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
