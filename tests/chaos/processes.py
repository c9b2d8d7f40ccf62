"""Processes in sessions of their own that die with the harness, however that ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Process:
    """A command with its output in a file. Start it from the main thread: it dies with the thread that started it.

    Args:
        command: its arguments.
        log: where its output goes.
        environment: all of its environment; the harness's own when None.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                env=None if environment is None else dict(environment),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.pid = self._popen.pid

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def said(self, words: str) -> bool:
        """Whether its output has these words."""
        return words in self.log.read_text("utf-8", "replace")

    def last_words(self, amount: int = 1500) -> str:
        """The end of its output."""
        return self.log.read_text("utf-8", "replace")[-amount:]

    def everyone(self) -> list[int]:
        """The process and all that it and its children started, as far as it lives."""
        return sorted(_session(self.pid))

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        if number == signal.SIGKILL:
            self._popen.wait(30)

    def signal_everyone(self, number: int) -> None:
        """Send a signal to the process and all that it started, as if the machine itself stopped."""
        for pid in self.everyone():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if number == signal.SIGKILL:
            self._popen.wait(30)

    def wait(self, timeout: float) -> int:
        """Its exit status."""
        return self._popen.wait(timeout)

    def stop(self) -> None:
        """End it and all that it started. Calling it twice is fine."""
        end = time.monotonic() + 10
        while (left := self.everyone()) and time.monotonic() < end:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._popen.poll()
            time.sleep(0.01)
        self._popen.wait(30)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _session(leader: int) -> set[int]:
    """The living processes of a session, and all that they started, in whatever session that is."""
    children: dict[int, list[int]] = {}
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, *rest = path.read_text("utf-8", "replace").rpartition(")")[2].split()
            if state not in "ZX":
                children.setdefault(int(rest[0]), []).append(int(path.parent.name))
                if int(rest[2]) == leader:
                    found.add(int(path.parent.name))
    unseen = list(found)
    while unseen:
        for pid in children.get(unseen.pop(), []):
            if pid not in found:
                found.add(pid)
                unseen.append(pid)
    return found
