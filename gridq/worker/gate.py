"""What the worker can take now: slots, free memory, queues; nothing while a GPU of its own is not well."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gridq.broker.holder import Held
from gridq.gpu.health import Verdict
from gridq.gpu.reading import Reading
from gridq.gpu.watch import Observation, Watch
from gridq.placement.load import Weights, gpu_load, rank, score
from gridq.queues import GPU, admits, is_constrained, vram_floor
from gridq.store.claims import UNLIMITED, Offer
from gridq.units import format_bytes
from gridq.worker.place import Place

#: Every so many looks the queues are tried from the smallest class up, so that large tasks do not starve small ones.
FAIR_TURN = 4


class Gate:
    """Decides what one worker may claim.

    Args:
        place: what the worker sits on.
        watch: what its GPUs say; None for a CPU worker.
        weights: how CPU and GPU load add up.
    """

    def __init__(self, place: Place, watch: Watch | None, weights: Weights) -> None:
        self._place = place
        self._watch = watch
        self._weights = weights
        self._turns = itertools.count(1)
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
        seat = self._place.seat
        if seat is None:
            return Offer(consumed, slots, UNLIMITED, rank(self.score(held, slots + len(held)), 0))
        others = [queue for queue in consumed if queue != self._place.name and not _is_gpu(queue)]
        if not self.takes_work:
            return Offer(others, slots) if others else None
        free = self.free(held)
        fitting = [queue for queue in consumed if _is_gpu(queue) and vram_floor(queue) < free]
        matched = sorted(queue for queue in found if admits(queue, seat) and vram_floor(queue) < free)
        shared = [*matched, *fitting]
        if next(self._turns) % FAIR_TURN == 0:
            shared.reverse()
        own = [self._place.name] if self._place.name in consumed else []
        return Offer([*own, *shared, *others], slots, free, rank(self.score(held, slots + len(held)), seat.memory))

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

    def verdicts(self) -> list[Verdict]:
        """The verdict on each GPU; memory that other programs hold is a reason to know, not to refuse work."""
        return [_with_foreign(seen) for seen in self.observations]

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
            ours = _own_memory(seen.reading) if held and time.monotonic() - seen.age > fresh_since else 0
            rooms.append(device.memory_total - _others_memory(seen.reading) - max(asked, ours))
        return rooms

    def _note_change(self, held: Mapping[str, Held]) -> float:
        """When the set of held tasks last changed: older readings count memory of tasks that are gone."""
        if held.keys() != self._holding:
            self._holding, self._changed_at = frozenset(held), time.monotonic()
        return self._changed_at


def _is_gpu(queue: str) -> bool:
    return queue == GPU or queue.startswith(GPU + ".") or is_constrained(queue)


def _own_memory(reading: Reading | None) -> int:
    if reading is None or reading.processes is None:
        return 0
    return sum(process.memory or 0 for process in reading.processes if is_descendant(process.pid))


def _others_memory(reading: Reading | None) -> int:
    """Bytes that are in use, but not by this worker: other programs, and the driver's own share."""
    if reading is None or reading.memory_used is None:
        return 0
    return max(0, reading.memory_used - _own_memory(reading))


def _with_foreign(seen: Observation) -> Verdict:
    processes = (seen.reading.processes if seen.reading else None) or ()
    foreign = sum(process.memory or 0 for process in processes if not is_descendant(process.pid))
    if not foreign:
        return seen.verdict
    reason = f"foreign: other programs hold {format_bytes(foreign)}"
    return Verdict(seen.verdict.state, (*seen.verdict.reasons, reason))


def is_descendant(pid: int) -> bool:
    """Whether a process is this one, its child, or a child of these."""
    me = os.getpid()
    while pid > 1:
        if pid == me:
            return True
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        # The name in parentheses may hold spaces; the parent's pid is the second field behind it.
        pid = int(status.rpartition(")")[2].split()[1])
    return False
