"""In which order fitting workers are tried. Each strategy is a function of the workers alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gridq.placement.load import rank
from gridq.store.workers import WorkerStatus

Strategy = Callable[[Sequence[WorkerStatus]], list[WorkerStatus]]


def least_loaded(workers: Sequence[WorkerStatus]) -> list[WorkerStatus]:
    """The lightest first; among equally light ones the smallest GPU, then by name."""
    return sorted(workers, key=lambda worker: (_rank(worker), worker.name))


def _rank(worker: WorkerStatus) -> float:
    return rank(worker.score, worker.seat.memory if worker.seat else 0)


STRATEGIES: dict[str, Strategy] = {"least-loaded": least_loaded}
