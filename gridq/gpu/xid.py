"""What an NVIDIA XID error number means for the GPU, the process and the task. A table, not code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from gridq.gpu.plain import known

SOURCE = "https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html"
"""NVIDIA's XID catalog: where the numbers and what they mean come from. The actions are gridq's own choice."""


class Action(StrEnum):
    """What gridq does about an XID, mildest first."""

    BLAME_TASK = "blame-task"
    """The task did something wrong; the GPU is fine."""
    RECYCLE = "recycle-process"
    """The process that was hit must end; the GPU goes on."""
    DRAIN = "drain"
    """The GPU takes no new task."""
    QUARANTINE = "quarantine"
    """The GPU takes no task until it was reset or replaced, and checked."""


@dataclass(frozen=True, slots=True)
class Xid:
    """One kind of XID error: its number, what gridq does about it, and what it means in plain words."""

    number: int
    action: Action
    meaning: str

    def __str__(self) -> str:
        return f"XID {self.number}: {self.meaning}"


TABLE = (
    Xid(13, Action.BLAME_TASK, "a kernel did something illegal, such as an access out of bounds"),
    Xid(31, Action.BLAME_TASK, "a kernel touched memory that is not mapped (page fault)"),
    Xid(43, Action.BLAME_TASK, "the GPU stopped a faulty program's work"),
    Xid(45, Action.BLAME_TASK, "a program's work was removed after an error or a kill"),
    Xid(46, Action.DRAIN, "the GPU stopped answering in time"),
    Xid(48, Action.QUARANTINE, "a double-bit memory error (ECC) that could not be corrected"),
    Xid(63, Action.RECYCLE, "a bad piece of memory was noted for replacement at the next reset"),
    Xid(64, Action.DRAIN, "a bad piece of memory could not be noted for replacement"),
    Xid(68, Action.BLAME_TASK, "the video decoder stopped on an error"),
    Xid(74, Action.DRAIN, "an error on the NVLink to another GPU"),
    Xid(79, Action.QUARANTINE, "the GPU has fallen off the bus"),
    Xid(94, Action.RECYCLE, "an uncorrectable memory error that hit one program only (contained)"),
    Xid(95, Action.QUARANTINE, "an uncorrectable memory error that may have hit any program (uncontained)"),
    Xid(109, Action.DRAIN, "switching between programs timed out"),
    Xid(119, Action.QUARANTINE, "the GPU's own processor (GSP) did not answer in time"),
    Xid(120, Action.QUARANTINE, "the GPU's own processor (GSP) failed"),
    Xid(140, Action.QUARANTINE, "a memory error (ECC) that the driver could not recover from"),
)


@dataclass(frozen=True, slots=True)
class XidEvent:
    """One XID error that happened on a GPU.

    Attributes:
        number: what kind it is, see `TABLE`.
        id: grows from event to event of a GPU, so that one that was dealt with can be told from its repetition.
        at: when, seconds of the machine's monotonic clock. Of a driver that gives no time: when the probe was told.
        pid: the process that it hit, where the driver says so; NVML does not.
    """

    number: int
    id: int
    at: float
    pid: int | None = None

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The inverse of `asdict`, as far as the writer's version knew these fields."""
        return cls(**known(cls, plain))


_BY_NUMBER = {xid.number: xid for xid in TABLE}


def lookup(number: int) -> Xid:
    """What gridq knows of this XID. A number that it does not know drains the GPU: cannot tell means not healthy."""
    return _BY_NUMBER.get(number) or Xid(number, Action.DRAIN, "not in gridq's table")
