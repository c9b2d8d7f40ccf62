"""In a child: what a task prints goes into a file, whoever prints it.

From the task's beginning to its end the descriptors 1 and 2 lead to the file, so that prints of Python, of C code and
of subprocesses are all caught. A file rather than a pipe: what a task says right before it crashes is kept, and C code
that prints while it holds Python's lock never waits for a reader.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import sys
from typing import IO, Any

from celery import current_app

from gridq.logs.line import Masked
from gridq.logs.mask import Mask
from gridq.worker.pad import Pad

logger = logging.getLogger(__name__)

_DESCRIPTORS = (1, 2)
#: setvbuf's "by lines", as both glibc and musl have it.
_BY_LINES = 1
#: What these say of a task below a warning is said by its record too.
_OF_THE_WORKER = ("celery", "kombu", "billiard", "amqp", "gridq")
_OF_TASKS = "celery.task"


class Capture:
    """What one child's tasks print, one task after the other.

    Args:
        pad: into which they print.
    """

    def __init__(self, pad: Pad) -> None:
        self._pad = pad
        self._saved = {number: os.dup(number) for number in _DESCRIPTORS}
        self._streams: list[IO[str]] = []
        self._before: tuple[Any, Any] = (None, None)
        self._name = ""
        self._file: int | None = None
        self._libc = _Libc()
        self._keep_handlers()
        for each in (logging.getLogger(), logging.getLogger(_OF_TASKS)):
            if each.parent is None or not each.propagate:
                each.addHandler(_Handler(self))

    def begin(self, name: str) -> None:
        """A task begins: from now on all goes into the file of that name."""
        try:
            self._file, self._name = self._pad.begin(name), name
        except OSError as error:
            # No room, no descriptors: the task shall run all the same.
            logger.warning("what the task prints is not kept: %s", error)
            return
        for number in _DESCRIPTORS:
            os.dup2(self._file, number)
        if any(stream.closed for stream in self._streams) or not self._streams:
            self._streams = [_stream(number) for number in _DESCRIPTORS]
        self._before = (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = self._streams

    def end(self) -> None:
        """The task has ended, and all is as before. A task may have done anything to its descriptors."""
        if self._file is None:
            return
        for stream in (sys.stdout, sys.stderr, *self._streams, sys.__stdout__, sys.__stderr__):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()  # type: ignore[union-attr]
        self._libc.flush()
        sys.stdout, sys.stderr = self._before
        for number, saved in self._saved.items():
            os.dup2(saved, number)
        with contextlib.suppress(OSError):
            self._pad.end(self._file, self._name)
        self._file = None

    def write(self, line: str) -> None:
        """A line of the task's log, also where the task has led its descriptors elsewhere."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.write(self._file, line.encode("utf-8", "backslashreplace"))

    def _keep_handlers(self) -> None:
        """What logs to the worker's stdout or stderr goes on to do so while these lead elsewhere."""
        kept = {number: _stream(saved) for number, saved in self._saved.items()}
        named = list(logging.Logger.manager.loggerDict.values())
        for each in (logging.getLogger(), *named):
            for handler in getattr(each, "handlers", ()):
                number = _number_of(getattr(handler, "stream", None))
                if isinstance(handler, logging.StreamHandler) and number in kept:
                    handler.setStream(kept[number])


class _Handler(logging.Handler):
    """Puts what is logged during a task among what it prints."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self._capture = capture
        lines = logging.Formatter("%(levelname)s %(name)s: %(message)s")
        self.setFormatter(Masked(lines, Mask.of(current_app.conf)))

    def emit(self, record: logging.LogRecord) -> None:
        """The record, unless it is the worker's own everyday talk."""
        name = record.name
        if record.levelno < logging.WARNING and name.partition(".")[0] in _OF_THE_WORKER and _OF_TASKS not in name:
            return
        try:
            self._capture.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - as in every handler: a message that cannot be formatted must not end a task.
            self.handleError(record)


class _Libc:
    """The stdout of C code: by itself it comes in blocks of kilobytes where it is a file; here in lines, as on a
    terminal."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(None)
            self._stdout = ctypes.c_void_p.in_dll(self._library, "stdout")
            self._library.setvbuf(self._stdout, None, _BY_LINES, ctypes.c_size_t(0))
        except (OSError, ValueError, AttributeError):
            # Another C library: what is left in its buffers comes when the process ends.
            self._stdout = ctypes.c_void_p()

    def flush(self) -> None:
        """Write what is left of a line."""
        if self._stdout:
            self._library.fflush(self._stdout)


class _Patient(io.FileIO):
    """A descriptor to which one can always write: a full disk, or a closed descriptor, must not end a task."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def _stream(number: int) -> IO[str]:
    raw = _Patient(number, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors="backslashreplace", line_buffering=True)


def _number_of(stream: Any) -> int | None:
    try:
        number: int = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return number
