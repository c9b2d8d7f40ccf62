"""What a GPU is: the facts that do not change while it is plugged in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from gridq.gpu.plain import known


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
        """The inverse of `to_dict`, as far as the writer's version knew these fields."""
        return cls(**{**_UNSAID, **known(cls, plain)})


#: A GPU of which this is all that is known takes nothing that has a need.
_UNSAID: dict[str, Any] = {"index": 0, "model": "", "memory_total": 0, "driver": ""}
