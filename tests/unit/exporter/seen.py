"""A look at a store that never was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from made_up import cpu_worker, gpu, worker

from gridq.exporter.look import Look
from gridq.gpu.device import Device
from gridq.gpu.reading import Reading
from gridq.store.counters import BOUNDS, Counters, Histogram
from gridq.store.queues import Queue
from gridq.store.workers import GpuStatus, WorkerStatus
from gridq.units import GIB

ALL_SAID: dict[str, Any] = {
    "memory_used": 6 * GIB,
    "utilization": 0.5,
    "temperature": 60.0,
    "temperature_limit": 90.0,
    "power": 210.0,
    "power_limit": 300.0,
    "ecc_uncorrected": 1,
}


def histogram(*buckets: int) -> Histogram:
    """One with these first buckets, and nothing in the others."""
    bounds = tuple(bound / 1000 for bound in BOUNDS)
    return Histogram(bounds, (*buckets, *[0] * (len(bounds) + 1 - len(buckets))), 1.5)


def speaking(index: int = 0, **said: Any) -> GpuStatus:
    """A GPU that says everything, unless said otherwise."""
    status = gpu(index)
    return replace(status, reading=Reading(status.device.uuid, **(ALL_SAID | said)), foreign=GIB, xids={"31": 2})


def busy() -> WorkerStatus:
    """A worker with everything to tell."""
    return worker(gpus=(speaking(),), running=("t1",), version="0.1.0", round_trip=0.002, idle_while_waiting=4.0)


def silent() -> WorkerStatus:
    """A worker of an older version, whose driver says nothing."""
    device = Device("GPU-1", 1, "", 0, "")
    return worker(1, gpus=(GpuStatus(device, gpu().verdict, Reading("GPU-1")),))


def look(**changes: Any) -> Look:
    """A fleet in which each family of the table has something to show."""
    facts: dict[str, Any] = {
        "workers": (busy(), cpu_worker()),
        "queues": (Queue("gpu.24g", 2, 7.5, 1), Queue("cpu", 0, None, 1)),
        "counters": Counters(
            {
                ("submitted", "shop.train"): 5,
                ("retried", "shop.train"): 1,
                ("completed", "shop.train", "done"): 3,
                ("claims",): 4,
                ("requeues", "lease_expired"): 1,
                ("dead",): 1,
                ("leases_expired",): 1,
                ("news", "of tomorrow"): 1,
            },
            {
                ("wait", "shop.train"): histogram(1, 2),
                ("run", "shop.train"): histogram(0, 3),
                ("decision", ""): histogram(5),
            },
        ),
        "states": {"running": 1, "delayed": 2, "dead": 1, "done": 3},
        "round_trip": 0.001,
        "seconds": 0.01,
    }
    return Look(**(facts | changes))
