"""On simulated GPUs a task holds the memory that it asked for, as a real one would; real tasks hold their own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from celery import signals

from gridq.config import Settings
from gridq.gpu.sim import hold
from gridq.worker.place import Place


def follow(place: Place, settings: Settings) -> None:
    """In this worker's children, hold each task's memory from its start to its end."""
    simulated = [device.uuid for device in place.devices if device.uuid.startswith("SIM-")]
    if not simulated:
        return
    holding: dict[str, ExitStack] = {}

    def start(task_id: str, task: Any, **_: Any) -> None:
        needs = (task.request.headers or {}).get("gridq") or getattr(task.request, "gridq", None) or {}
        amount = int(needs.get("vram", 0))
        if amount:
            holding[task_id] = ExitStack()
            for uuid in simulated:
                holding[task_id].enter_context(hold(settings.runtime_dir / "sim", uuid, amount))

    def end(task_id: str, **_: Any) -> None:
        if task_id in holding:
            holding.pop(task_id).close()

    signals.task_prerun.connect(start, weak=False)
    signals.task_postrun.connect(end, weak=False)
