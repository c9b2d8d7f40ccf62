"""One child process that is started again when it dies, in a process group of its own, its output in a file."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gridq.logs.complaint import readable
from gridq.units import MIB

#: Seconds before a child that died is started again: doubled from the first to the last.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: A child that lived for so many seconds starts again at the first pause.
LASTING = 60.0
_LAST_WORDS = 4096
#: Bytes of output after which its file begins anew, with the one before kept beside it. Room for hours of a worker's
#: log; without an end it would fill the disk, or the memory that /run is.
LOG_LIMIT = 8 * MIB
_PR_SET_CHILD_SUBREAPER = 36
#: Seconds; what was killed by force is gone in milliseconds unless it is stuck in a driver.
_REAPING = 2.0


def adopt_orphans() -> None:
    """On Linux, children of children that lose their parent become this process's, not init's.

    So they can be reaped here: in a container, init often is a program that never does it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Child:
    """A process under a label, from `start()` to the end of its group.

    Args:
        label: what people call it, `gpu0`.
        arguments: the command line.
        log: the file for its output; appended to.
        environment: all of its environment.
    """

    def __init__(self, label: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.label = label
        self.log = log
        self.starts_at = 0.0
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._failures = 0
        self._shown = 0
        self._begun_anew = False

    @property
    def pid(self) -> int | None:
        """Its pid while it lives or has not been looked after, else None."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it. Only from the main thread, see leashed.py."""
        self.log.touch(mode=0o600)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                # Ctrl-C in the terminal is for the parent alone, which then drains; and a group can be killed whole.
                start_new_session=True,
            )
        self._started = time.monotonic()

    def ended(self) -> int | None:
        """Its exit status, once: afterwards it counts as not started, and `starts_at` says when it should be."""
        if self._process is None:
            return None
        if (status := self._process.poll()) is None:
            self._reap_orphans(self._process.pid)
            return None
        self._end_group(self._process.pid)
        self._process = None
        now = time.monotonic()
        self._failures = 1 if now - self._started > LASTING else self._failures + 1
        self.starts_at = now + self.pause
        return status

    @property
    def pause(self) -> float:
        """Seconds between its last end and its next start."""
        return float(min(FIRST_PAUSE * 2 ** (self._failures - 1), LONGEST_PAUSE))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, not to its group: a draining worker looks after its own children."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End the process and its whole group by force, and reap it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._end_group(self._process.pid)
            self._process = None

    def _end_group(self, group: int) -> None:
        """Kill and reap what a process that has ended left of its group."""
        end = time.monotonic() + _REAPING
        with contextlib.suppress(ProcessLookupError, PermissionError):
            while time.monotonic() < end:
                os.killpg(group, signal.SIGKILL)
                self._reap_orphans(group)
                time.sleep(0.005)

    def _reap_orphans(self, group: int) -> None:
        """Take note of the end of the group's orphans; the process itself is left to Popen."""
        with contextlib.suppress(ChildProcessError):
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            while (ended := os.waitid(os.P_PGID, group, flags)) is not None and ended.si_pid != group:
                os.waitpid(ended.si_pid, 0)

    def trim(self) -> None:
        """Begin the file of its output anew where it has become long. What it writes in that moment may be lost."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_LIMIT:
                # Copied, not renamed: the child goes on writing to the file that it has open.
                shutil.copy(self.log, self._older)
                os.truncate(self.log, 0)
                self._begun_anew = True

    def new_lines(self) -> list[str]:
        """What it wrote since the last call, in whole lines."""
        text = b""
        with contextlib.suppress(FileNotFoundError):
            if self._begun_anew:
                text, self._shown, self._begun_anew = _read(self._older, self._shown), 0, False
            new = _read(self.log, self._shown)
            whole, newline, _ = new.rpartition(b"\n")
            self._shown += len(whole + newline)
            text += whole + newline
        return text.decode("utf-8", "replace").splitlines()

    @property
    def _older(self) -> Path:
        return self.log.with_suffix(".old.log")

    def last_words(self, lines: int = 12) -> str:
        """The end of its output."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _LAST_WORDS))
            text = readable(file.read().decode("utf-8", "replace"))
            return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
        return ""


def _read(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read()
