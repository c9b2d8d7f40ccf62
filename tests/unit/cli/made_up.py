"""Workers and GPUs that never were."""

from __future__ import annotations

from typing import Any

from gridq.gpu.device import Device
from gridq.gpu.health import State, Verdict
from gridq.gpu.reading import Reading
from gridq.store.tasks import TaskRecord
from gridq.store.workers import GpuStatus, WorkerStatus
from gridq.units import GIB

TASK_ID = "5f3c8a1b-3c7e-4b52-9a1e-0d6f1c2b3a4d"


def gpu(index: int = 0, verdict: Verdict | None = None, reading: dict[str, Any] | None = None) -> GpuStatus:
    """One GPU of 24 GiB; `reading={}` is a driver that says nothing."""
    uuid = f"GPU-{index}f3c8a1b-3c7e-4b52-9a1e-0d6f1c2b3a4d"
    said = {"memory_used": 6 * GIB, "utilization": 0.5, "temperature": 60.0, "power": 210.0}
    said = said if reading is None else reading
    return GpuStatus(
        Device(uuid, index, "NVIDIA RTX 6000 Ada Generation", 24 * GIB, "550.1"),
        verdict or Verdict(State.HEALTHY),
        Reading(uuid, **said),
    )


def worker(index: int = 0, node: str = "node1", **changes: Any) -> WorkerStatus:
    """A GPU worker, idle and well unless said otherwise."""
    facts: dict[str, Any] = {
        "name": f"gpu{index}@{node}",
        "node": node,
        "token": "t",
        "pid": 100 + index,
        "gpus": (gpu(index),),
        "running": (),
        "free": 18 * GIB,
        "cpu_load": 0.25,
        "score": 0.5,
        "queues": (f"gpu{index}@{node}", "gpu.24g", "gpu.8g", "gpu"),
        "age": 0.4,
    }
    return WorkerStatus(**(facts | changes))


def cpu_worker(node: str = "node1") -> WorkerStatus:
    """A CPU worker."""
    return WorkerStatus(f"cpu@{node}", node, "t", 99, slots=2, cpu_load=0.25, score=0.1, queues=("cpu", f"cpu@{node}"))


def record(**changes: Any) -> TaskRecord:
    """A GPU task that waits."""
    facts: dict[str, Any] = {
        "id": TASK_ID,
        "name": "shop.train",
        "state": "waiting",
        "queue": "gpu.24g",
        "needs": {"gpu": True, "vram": 20 * GIB},
        "worker": None,
        "attempts": 0,
        "reason": None,
        "placement": None,
        "times": {"waiting_at": 1000.0},
        "message": None,
    }
    return TaskRecord(**(facts | changes))
