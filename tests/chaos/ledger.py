"""The outside ledger: one file per start of a task, written by the task itself, never by way of Redis.

A file is made by O_EXCL, so that no two starts share one, and holds a line of JSON padded to `HEAD` bytes, then two
doubles: the last sign of life and the end. Times are of the boot-time clock, which all processes of a machine share.
A process that is killed leaves its last sign of life behind: until then, at least, it ran.
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEAD = 512
#: Seconds between signs of life.
BEAT = 0.02
_TIMES = struct.Struct("dd")


def now() -> float:
    """Seconds since the machine was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Execution:
    """One start of a task.

    Attributes:
        task: Celery's id.
        number: which try of the task it was; a retry that the task asked for itself is another try.
        worker: the worker's name.
        parent: the worker's process.
        pid: the process that ran it.
        start: when.
        seen: its last sign of life.
        end: when its body had ended; None if it never did.
    """

    task: str
    number: int
    worker: str
    parent: int
    pid: int
    start: float
    seen: float
    end: float | None


class Entry:
    """The file of one execution, in the process that writes it."""

    def __init__(self, folder: Path, head: dict[str, Any]) -> None:
        started = now()
        path = folder / f"{head['task']}.{head['number']}.{os.getpid()}.{int(started * 1e6)}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        line = json.dumps({**head, "start": started}).encode().ljust(HEAD)
        os.pwrite(self._file, line + _TIMES.pack(started, 0.0), 0)

    def beat(self) -> None:
        """Say that it lives."""
        os.pwrite(self._file, struct.pack("d", now()), HEAD)

    def finish(self) -> None:
        """Say that the body has ended."""
        at = now()
        os.pwrite(self._file, _TIMES.pack(at, at), HEAD)
        os.close(self._file)


class Ledger:
    """The folder of all entries.

    Args:
        folder: made when it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._ended: dict[str, Execution] = {}

    def executions(self) -> list[Execution]:
        """Every start so far, by time."""
        return sorted(self._read(), key=lambda execution: execution.start)

    def _read(self) -> Iterator[Execution]:
        for path in self.folder.iterdir():
            known = self._ended.get(path.name)
            if known is not None:
                yield known
                continue
            raw = path.read_bytes()
            if len(raw) < HEAD + _TIMES.size:
                continue  # It is being written now.
            seen, end = _TIMES.unpack_from(raw, HEAD)
            found = Execution(**json.loads(raw[:HEAD]), seen=seen, end=end or None)
            if found.end:
                self._ended[path.name] = found
            yield found

    def running(self) -> list[Execution]:
        """Those that show signs of life and have not ended."""
        fresh = now() - 10 * BEAT
        return [each for each in self.executions() if each.end is None and each.seen > fresh]
