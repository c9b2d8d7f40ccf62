"""How heavy a worker is. The lightest ready one gets the next task."""

from __future__ import annotations

from dataclasses import dataclass

from gridq.units import GIB

#: Load is compared in tenths, so that noise in a reading does not decide where size could.
_STEP = 10


@dataclass(frozen=True, slots=True)
class Weights:
    """How much the load of the node's CPUs counts against that of the GPU."""

    cpu: float = 1.0
    gpu: float = 3.0


def gpu_load(running: int, slots: int, memory_used: int | None, memory_total: int) -> float:
    """0 (idle) to 1 (full): the mean of the share of slots and the share of memory in use.

    GPU utilisation is left out: it says only that some kernel ran, not how much of the card it took.
    """
    busy = min(1.0, running / max(1, slots))
    if memory_used is None or memory_total <= 0:
        return busy
    return (busy + min(1.0, memory_used / memory_total)) / 2


def score(cpu_load: float, gpu: float, weights: Weights) -> float:
    """cpu_weight·cpu_load + gpu_weight·gpu_load, both loads 0 to 1."""
    return weights.cpu * min(1.0, max(0.0, cpu_load)) + weights.gpu * gpu


def rank(score: float, memory_total: int) -> float:
    """One number to sort by: the lightest first and, among equally light ones, the smallest GPU.

    So large GPUs stay free for what only fits there. Memory counts in GiB, and 1000 GiB are one tenth of load.
    """
    return round(score * _STEP) * 1000 + min(999.0, memory_total / GIB)
