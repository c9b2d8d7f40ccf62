"""The answer: which workers to try for a task, in which order, and why; or that none could ever run it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from gridq.needs import Needs
from gridq.placement.fit import misfit, obstacle
from gridq.placement.strategies import STRATEGIES
from gridq.queues import Seat
from gridq.store.workers import WorkerStatus
from gridq.units import format_bytes

#: How many workers are tried for an own place before the task waits in its shared queue, where all that fit take it.
CANDIDATES = 16


@dataclass(frozen=True, slots=True)
class Decision:
    """What placement found.

    Attributes:
        candidates: names of the workers to try, best first.
        impossible: why no GPU seen so far could ever run the task; None if one could, or nothing is known.
        text: the reasons as JSON, for the task's record.
    """

    candidates: tuple[str, ...]
    impossible: str | None
    text: str


@dataclass(slots=True)
class Snapshot:
    """The fleet at one moment.

    Attributes:
        workers: the living ones.
        seats: one for each GPU ever seen; None when that could not be learnt.
        taken_at: seconds of this machine's monotonic clock.
    """

    workers: tuple[WorkerStatus, ...]
    seats: tuple[Seat, ...] | None
    taken_at: float
    _decisions: dict[tuple[Needs, str], Decision] = field(default_factory=dict)

    def decide(self, needs: Needs, strategy: str) -> Decision:
        """Where a task with these needs should go; worked out once per snapshot."""
        key = (needs, strategy)
        if key not in self._decisions:
            self._decisions[key] = decide(self, needs, strategy)
        return self._decisions[key]


def decide(snapshot: Snapshot, needs: Needs, strategy: str) -> Decision:
    """Order the workers that could run the task, and say why the others could not."""
    obstacles = {worker.name: obstacle(needs, worker) for worker in snapshot.workers if worker.gpus}
    fitting = [worker for worker in snapshot.workers if worker.gpus and obstacles[worker.name] is None]
    ordered = STRATEGIES[strategy](fitting)[:CANDIDATES]
    reasons = {
        "strategy": strategy,
        "candidates": [
            {"worker": worker.name, "score": round(worker.score, 3), "free": worker.free, "age": round(worker.age, 3)}
            for worker in ordered[:8]
        ],
        "rejected": Counter(f"{reason}" for reason in obstacles.values() if reason),
    }
    return Decision(tuple(worker.name for worker in ordered), impossible(needs, snapshot.seats), json.dumps(reasons))


def impossible(needs: Needs, seats: tuple[Seat, ...] | None) -> str | None:
    """Why none of the GPUs ever seen could run the task, and what there is instead; None if one could."""
    if seats is None or any(misfit(needs, seat) is None for seat in seats):
        return None
    if not seats:
        return f"asks for {needs}, and no GPU worker has been seen yet"
    kinds = Counter((seat.model, seat.memory, seat.node, seat.gpus) for seat in seats)
    fleet = ", ".join(
        f"{count} × {model} ({format_bytes(memory)}, {gpus} per worker) on {node}"
        for (model, memory, node, gpus), count in sorted(kinds.items())
    )
    return f"asks for {needs}, and the fleet has only {fleet}"
