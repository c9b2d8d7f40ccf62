"""Whose memory is it: this worker's processes, or other programs'."""

from __future__ import annotations

import os
from pathlib import Path

from gridq.gpu.reading import Process, Reading


class Kin:
    """This worker, its children, and theirs; also those that have ended since: what they held is being freed."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def memory(self, reading: Reading | None) -> int:
        """Bytes that the worker's processes hold; 0 where the driver does not say."""
        return sum(process.memory or 0 for process in _processes(reading) if self._is_ours(process.pid))

    def foreign_memory(self, reading: Reading | None) -> int | None:
        """Bytes that other programs hold; None where the driver does not say."""
        if reading is None or reading.processes is None:
            return None
        return sum(process.memory or 0 for process in _processes(reading) if not self._is_ours(process.pid))

    def others_memory(self, reading: Reading | None) -> int:
        """Bytes that are in use, but not by this worker: other programs, and the driver's own share."""
        if reading is None or reading.memory_used is None:
            return 0
        return max(0, reading.memory_used - self.memory(reading))

    def _is_ours(self, pid: int) -> bool:
        if is_descendant(pid):
            self._known.add(pid)
            return True
        if pid not in self._known:
            return False
        if Path(f"/proc/{pid}").exists():
            # Another process has the number by now.
            self._known.discard(pid)
            return False
        return True


def _processes(reading: Reading | None) -> tuple[Process, ...]:
    return (reading.processes if reading else None) or ()


def is_descendant(pid: int, ancestor: int | None = None) -> bool:
    """Whether a process is the ancestor (None: this process), its child, or a child of these."""
    ancestor = ancestor or os.getpid()
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return False
        # The name in parentheses is any bytes, spaces too; the parent's pid is the second field behind it.
        pid = int(status.rpartition(")")[2].split()[1])
    return False
