"""A worker in a few flat words with their units, for `inspect stats` and for Flower, which shows them one a line."""

from __future__ import annotations

from typing import Any

from gridq.store.workers import GpuStatus, WorkerStatus
from gridq.units import GIB


def summary(worker: WorkerStatus) -> dict[str, Any]:
    """What the worker says of itself and of its GPUs; what a driver does not say is left out."""
    facts: dict[str, Any] = {}
    # The GPUs come first: a page that shows one fact a line shows their verdicts without scrolling.
    for gpu in worker.gpus:
        facts |= {f"gpu{gpu.device.index}_{name}": value for name, value in _of_gpu(gpu).items() if value is not None}
    if worker.free is not None:
        facts["memory_free_gib"] = _gib(worker.free)
    return facts | {
        "node": worker.node,
        "slots": worker.slots,
        "slots_used": len(worker.running),
        # One text, not a list: a page that shows values as they are shows this one well.
        "running": ", ".join(worker.running),
        "takes_tasks": worker.takes_work and not worker.shut,
        "score": worker.score,
        "cpu_load_ratio": worker.cpu_load,
    }


def _of_gpu(gpu: GpuStatus) -> dict[str, Any]:
    reading = gpu.reading
    facts: dict[str, Any] = {
        "verdict": gpu.verdict.state.value,
        "reasons": "; ".join(gpu.verdict.reasons) or None,
        "model": gpu.device.model,
        "uuid": gpu.device.uuid,
        "memory_total_gib": _gib(gpu.device.memory_total),
    }
    if reading is not None:
        facts |= {
            "memory_used_gib": _gib(reading.memory_used),
            "utilization_percent": None if reading.utilization is None else round(100 * reading.utilization),
            "temperature_celsius": reading.temperature,
            "power_watts": reading.power,
            "reading_age_seconds": gpu.reading_age,
        }
    return facts


def _gib(amount: int | None) -> float | None:
    return None if amount is None else round(amount / GIB, 2)
