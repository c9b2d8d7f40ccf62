"""The end of a lease, and when its guard last acted on it, in a few bytes of shared memory.

A worker's children inherit them and its guard is handed them, so that each can act on the end without asking anybody.
"""

from __future__ import annotations

import mmap
import os
import struct
import time

_TIME = struct.Struct("d")
_ENDS, _FENCED = 0, _TIME.size


def now() -> float:
    """Seconds of a clock that all processes of this machine share and that goes on while it is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SharedEnd:
    """The end of a lease, in memory that several processes see.

    Args:
        file: descriptor of that memory; None to make it.
    """

    def __init__(self, file: int | None = None) -> None:
        if file is None:
            file = os.memfd_create("gridq-lease")
            os.ftruncate(file, mmap.PAGESIZE)
        self.file = file
        self._memory = mmap.mmap(file, mmap.PAGESIZE)

    @property
    def ends(self) -> float:
        """Seconds of `now()`; 0 before the first lease."""
        return float(_TIME.unpack_from(self._memory, _ENDS)[0])

    @ends.setter
    def ends(self, at: float) -> None:
        # One aligned 8-byte store: no reader sees half of it.
        _TIME.pack_into(self._memory, _ENDS, at)

    @property
    def fenced_at(self) -> float:
        """When the guard last ended all tasks, in seconds of `now()`; 0 for never."""
        return float(_TIME.unpack_from(self._memory, _FENCED)[0])

    @fenced_at.setter
    def fenced_at(self, at: float) -> None:
        _TIME.pack_into(self._memory, _FENCED, at)


def margin(lease: float) -> float:
    """Seconds before the end of a lease at which tasks are killed: for a guard that is late, kills that take time."""
    return lease / 5
