"""May a task run on this worker at all, and if not, why."""

from __future__ import annotations

from gridq.needs import Needs
from gridq.queues import MIXED, Seat, is_model
from gridq.store.workers import WorkerStatus
from gridq.units import format_bytes


def misfit(needs: Needs, seat: Seat) -> str | None:
    """Why a seat could never take a task with these needs, None if it could."""
    if needs.gpus != seat.gpus:
        return f"holds {seat.gpus} GPU(s), not {needs.gpus}"
    if needs.node and needs.node != seat.node:
        return f"is on another node than {needs.node}"
    if needs.models and not any(is_model(seat.model, model) for model in needs.models):
        return "holds GPUs of several models" if seat.model == MIXED else f"is a {seat.model}"
    if needs.vram > seat.memory:
        return f"has {format_bytes(seat.memory)} of memory in all"
    return None


def obstacle(needs: Needs, worker: WorkerStatus) -> str | None:
    """Why the worker cannot take the task at present, None if it can once it has a free slot."""
    seat = worker.seat
    if seat is None:
        return "holds no GPU"
    never = misfit(needs, seat)
    if never:
        return never
    if worker.draining:
        return "is draining"
    if not worker.takes_work:
        return next(
            f"is {gpu.verdict.state.value}: {', '.join(gpu.verdict.reasons)}"
            for gpu in worker.gpus
            if not gpu.verdict.takes_work
        )
    return None
