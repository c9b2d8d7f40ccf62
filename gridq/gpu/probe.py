"""The contract of a probe: whoever can say which GPUs a machine has and what they say now."""

from __future__ import annotations

from typing import Protocol

from gridq.errors import ProbeError
from gridq.gpu.device import Device
from gridq.gpu.reading import Reading


class Probe(Protocol):
    """Asks the hardware. Calls may hang, so workers only use it through `gpu.watch`."""

    def devices(self) -> list[Device]:
        """Every GPU of this machine by index.

        Raises:
            ProbeError: when the driver is there but does not answer.
        """
        ...

    def read(self, uuid: str) -> Reading:
        """What the GPU says now; a card that fell off the bus gives a reading with `lost=True`.

        Raises:
            ProbeError: for a uuid that this machine does not have, or a driver that does not answer.
        """
        ...

    def close(self) -> None:
        """Let go of the driver. Calling it twice is fine."""
        ...


class NoProbe:
    """The probe of a machine without GPUs."""

    def devices(self) -> list[Device]:
        """None."""
        return []

    def read(self, uuid: str) -> Reading:
        """Never a reading.

        Raises:
            ProbeError: always.
        """
        raise ProbeError(
            f"expected a GPU of this machine, got {uuid!r}; this machine has none", hint="see `gridq gpus`"
        )

    def close(self) -> None:
        """Nothing to let go of."""
