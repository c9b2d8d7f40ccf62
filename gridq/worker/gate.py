"""What the worker can take now: slots, free memory, queues; nothing while a GPU of its own is not well."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from gridq.broker.holder import Held
from gridq.gpu.device import Device
from gridq.gpu.health import Verdict
from gridq.gpu.watch import Observation
from gridq.placement.load import Weights, gpu_load, rank, score
from gridq.queues import admits, is_gpu, vram_floor
from gridq.store.claims import UNLIMITED, Offer
from gridq.store.workers import GpuStatus
from gridq.units import format_bytes
from gridq.worker.kin import Kin
from gridq.worker.place import Place

#: Every so many looks the queues are tried from the smallest class up, so that large tasks do not starve small ones.
FAIR_TURN = 4


class Observing(Protocol):
    """Who knows how GPUs are, as `gpu.ward` does."""

    def latest(self, uuid: str) -> Observation:
        """The newest reading, and the verdict that counts."""
        ...


class Gate:
    """Decides what one worker may claim.

    Args:
        place: what the worker sits on.
        watch: what its GPUs say; None for a CPU worker.
        weights: how CPU and GPU load add up.
    """

    def __init__(self, place: Place, watch: Observing | None, weights: Weights) -> None:
        self._place = place
        self._watch = watch
        self._weights = weights
        #: Set while the worker is drained or about to stop.
        self.shut = False
        self._turns = itertools.count(1)
        self._kin = Kin()
        self._holding: frozenset[str] = frozenset()
        self._changed_at = 0.0

    def offer(self, consumed: Sequence[str], slots: int, *, held: Mapping[str, Held], found: set[str]) -> Offer | None:
        """What the worker can take.

        Args:
            consumed: the queues that Celery says it consumes.
            slots: free slots.
            held: what it holds now, by claim id.
            found: constrained queues that exist.
        """
        if self.shut:
            return None
        seat = self._place.seat
        if seat is None:
            return Offer(consumed, slots, UNLIMITED, rank(self.score(held, slots + len(held)), 0))
        others = [queue for queue in consumed if queue != self._place.name and not is_gpu(queue)]
        if not self.takes_work:
            return Offer(others, slots) if others else None
        free = self.free(held)
        shared = self._shared(consumed, found, free)
        if next(self._turns) % FAIR_TURN == 0:
            shared.reverse()
        own = [self._place.name] if self._place.name in consumed else []
        return Offer([*own, *shared, *others], slots, free, rank(self.score(held, slots + len(held)), seat.memory))

    def opening(self, consumed: Sequence[str], *, held: Mapping[str, Held], found: set[str]) -> Offer | None:
        """What idle GPUs could take; None where there are none, while one runs something, or takes no work."""
        if self.shut or held or self._place.seat is None or not self.takes_work:
            return None
        free = self.free(held)
        own = [self._place.name] if self._place.name in consumed else []
        return Offer([*own, *self._shared(consumed, found, free)], 1, free)

    def _shared(self, consumed: Sequence[str], found: set[str], free: int) -> list[str]:
        """The shared GPU queues in which something may fit into the free bytes, the largest class first."""
        assert self._place.seat is not None
        fitting = [queue for queue in consumed if is_gpu(queue) and vram_floor(queue) < free]
        seat = self._place.seat
        return [*sorted(queue for queue in found if admits(queue, seat) and vram_floor(queue) < free), *fitting]

    @property
    def takes_work(self) -> bool:
        """Whether every GPU of the worker may take work now."""
        return all(observation.verdict.takes_work for observation in self.observations)

    @property
    def observations(self) -> list[Observation]:
        """The newest observation of each of the worker's GPUs."""
        if self._watch is None:
            return []
        return [self._watch.latest(device.uuid) for device in self._place.devices]

    def statuses(self) -> list[GpuStatus]:
        """Each GPU for the heartbeat; memory that other programs hold is a reason to know, not to refuse work."""
        return [self._status(device, seen) for device, seen in zip(self._place.devices, self.observations, strict=True)]

    def free(self, held: Mapping[str, Held]) -> int:
        """Bytes that one more task could have on each of the worker's GPUs."""
        return max(0, min(self._rooms(held)))

    def score(self, held: Mapping[str, Held], slots: int) -> float:
        """How heavy the worker is, holding these tasks and able to hold `slots`."""
        cpu = os.getloadavg()[0] / (os.cpu_count() or 1)
        loads = [
            gpu_load(len(held), slots, device.memory_total - room, device.memory_total)
            for device, room in zip(self._place.devices, self._rooms(held), strict=True)
        ]
        return score(cpu, max(loads) if loads else len(held) / max(1, slots), self._weights)

    def _rooms(self, held: Mapping[str, Held]) -> list[int]:
        """Bytes of each GPU that nobody uses and no held task has asked for."""
        asked = sum(task.bytes for task in held.values())
        fresh_since = self._note_change(held)
        rooms = []
        for device, seen in zip(self._place.devices, self.observations, strict=True):
            ours = self._kin.memory(seen.reading) if held and time.monotonic() - seen.age > fresh_since else 0
            rooms.append(device.memory_total - self._kin.others_memory(seen.reading) - max(asked, ours))
        return rooms

    def _status(self, device: Device, seen: Observation) -> GpuStatus:
        foreign, verdict = self._kin.foreign_memory(seen.reading), seen.verdict
        if foreign:
            reason = f"foreign: other programs hold {format_bytes(foreign)}"
            verdict = Verdict(verdict.state, (*verdict.reasons, reason))
        return GpuStatus(device, verdict, seen.reading, round(seen.age, 3), foreign)

    def _note_change(self, held: Mapping[str, Held]) -> float:
        """When the set of held tasks last changed: older readings count memory of tasks that are gone."""
        if held.keys() != self._holding:
            self._holding, self._changed_at = frozenset(held), time.monotonic()
        return self._changed_at
