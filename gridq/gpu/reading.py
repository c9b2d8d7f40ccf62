"""What a GPU says of itself at one moment. What it does not say is None, never a made-up number."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from gridq.gpu.plain import known
from gridq.gpu.xid import XidEvent


@dataclass(frozen=True, slots=True)
class Process:
    """A process that holds memory of a GPU: its pid as this machine sees it, and bytes (None where not told)."""

    pid: int
    memory: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at one GPU.

    Attributes:
        uuid: whose reading it is.
        memory_used: bytes in use by anyone, the driver's own share included.
        utilization: share of the last sample period in which some kernel ran, 0 to 1.
        temperature: degrees Celsius.
        temperature_limit: degrees Celsius at which the card slows down.
        power: watts drawn now.
        power_limit: watts allowed.
        processes: who holds memory; None where the driver does not say.
        xids: the XID errors since the last reading, oldest first; in what `gpu.watch` says, the last few of all.
        ecc_uncorrected: double-bit memory errors since the driver was loaded.
        remap_failed: whether the card could not replace a bad memory row.
        lost: whether the card has fallen off the bus.
    """

    uuid: str
    memory_used: int | None = None
    utilization: float | None = None
    temperature: float | None = None
    temperature_limit: float | None = None
    power: float | None = None
    power_limit: float | None = None
    processes: tuple[Process, ...] | None = None
    xids: tuple[XidEvent, ...] = ()
    ecc_uncorrected: int | None = None
    remap_failed: bool | None = None
    lost: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The reading as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The inverse of `to_dict`, as far as the writer's version knew these fields."""
        processes = plain.get("processes")
        held = None if processes is None else tuple(Process(each["pid"], each.get("memory")) for each in processes)
        xids = tuple(XidEvent.from_dict(event) for event in plain.get("xids") or ())
        return cls(**{**known(cls, plain), "processes": held, "xids": xids})
