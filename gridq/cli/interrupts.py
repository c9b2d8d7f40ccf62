"""Ctrl-C, SIGTERM and SIGHUP as something to wait for, so that no signal cuts a step in two."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Any, Self

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Counts the requests to stop while the block runs; `wait` ends early when one comes.

    An exception out of a signal handler could come between the start of a process and the note of its pid; a count
    cannot. So whoever uses this never blocks for long without `wait`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last = 0
        self._before: dict[int, Any] = {}
        self._read = self._write = -1

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in _NUMBERS:
            before = signal.getsignal(number)
            # Under nohup the end of the terminal is to be ignored.
            if number != signal.SIGHUP or before is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        os.close(self._read)
        os.close(self._write)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.last = number
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            pass

    @property
    def exit_code(self) -> int:
        """What shells say of a program that was stopped so."""
        return 128 + self.last if self.last else 0

    def wait(self, seconds: float) -> bool:
        """Wait, but not beyond the next request to stop; returns whether there has been any so far."""
        ready, _, _ = select.select([self._read], [], [], max(0.0, seconds))
        if ready:
            os.read(self._read, 64)
        return self.count > 0
