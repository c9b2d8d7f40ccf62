"""One plain row per GPU of the fleet, as listings, pages and JSON show it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gridq.store.workers import GpuStatus, WorkerStatus

Row = dict[str, Any]

_SAID = ("memory_used", "utilization", "temperature", "temperature_limit", "power", "power_limit")


def gpu_rows(living: Iterable[WorkerStatus]) -> list[Row]:
    """One row per GPU; what the driver does not say is None."""
    rows = [gpu_row(worker, gpu) for worker in living for gpu in worker.gpus]
    return sorted(rows, key=lambda row: (row["node"], row["index"], row["uuid"]))


def gpu_row(worker: WorkerStatus, gpu: GpuStatus) -> Row:
    """One GPU and the worker that holds it."""
    device, reading = gpu.device, gpu.reading
    return {
        "worker": worker.name,
        "node": worker.node,
        "index": device.index,
        "uuid": device.uuid,
        "model": device.model,
        "memory_total": device.memory_total,
        **{name: getattr(reading, name) if reading else None for name in _SAID},
        "verdict": gpu.verdict.state.value,
        "draining": worker.draining,
        "reasons": list(gpu.verdict.reasons),
        "running": list(worker.running),
        "slots": worker.slots,
        "free": worker.free,
        "score": worker.score,
        "reading_age": round(gpu.reading_age + worker.age, 3),
    }
