"""What a GPU is: the facts that do not change while it is plugged in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, or one MIG instance of it.

    Attributes:
        uuid: its identity (`GPU-…`, `MIG-…`, `SIM-…`), what `CUDA_VISIBLE_DEVICES` is set to.
        index: its number on this machine; for show only, since it can change at a reboot.
        model: as the driver says it, `NVIDIA H100 80GB HBM3`.
        memory_total: bytes; 0 where the driver does not say, so that nothing with a memory need fits.
        driver: the driver's version.
    """

    uuid: str
    index: int
    model: str
    memory_total: int
    driver: str

    def to_dict(self) -> dict[str, Any]:
        """The device as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**plain)
