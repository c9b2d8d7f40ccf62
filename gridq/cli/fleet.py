"""What the listings show: workers, GPUs, queues and problems, as plain rows that are also the JSON."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gridq.config import mask
from gridq.store import queues, workers
from gridq.store.client import Client
from gridq.store.gpus import gpu_rows
from gridq.store.keys import DELAYED
from gridq.store.workers import WorkerStatus

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fleet:
    """All that `gridq status` knows, as plain rows.

    Attributes:
        broker: url (masked), version, latency in seconds.
        problems: what is not well, one sentence each.
        delayed: tasks that wait for an eta or a retry.
    """

    broker: Row
    workers: list[Row]
    gpus: list[Row]
    queues: list[Row]
    problems: list[str]
    delayed: int

    def to_dict(self) -> Row:
        """Plain JSON types; the keys are stable."""
        return {name: getattr(self, name) for name in self.__slots__} | {"ok": not self.problems}


def look(client: Client, url: str) -> Fleet:
    """Ask the store for everything once."""
    began = time.perf_counter()
    client.now()
    latency = time.perf_counter() - began
    living = workers.living(client)
    rows = queue_rows(client, living)
    return Fleet(
        broker={"url": mask(url), "version": _version(client), "latency": round(latency, 6)},
        workers=[worker_row(worker) for worker in living],
        gpus=gpu_rows(living),
        queues=rows,
        problems=problems(living, rows),
        delayed=int(client.command("ZCARD", DELAYED)),
    )


def _version(client: Client) -> str:
    info = client.redis.info("server")
    name = str(info.get("server_name", "redis"))
    return f"{name} {info.get(f'{name}_version', info.get('redis_version', '?'))}"


def worker_row(worker: WorkerStatus) -> Row:
    """One worker."""
    names = ("name", "node", "pid", "slots", "free", "cpu_load", "score")
    return {name: getattr(worker, name) for name in names} | {
        "age": round(worker.age, 3),
        "draining": worker.draining,
        "gpus": [gpu.device.uuid for gpu in worker.gpus],
        "running": list(worker.running),
        "queues": list(worker.queues),
    }


def queue_rows(client: Client, living: Sequence[WorkerStatus]) -> list[Row]:
    """Every queue that a worker looks into or in which something waits."""
    return [
        {"name": queue.name, "waiting": queue.waiting, "consumers": queue.consumers}
        for queue in queues.look(client, living)
    ]


def problems(living: Sequence[WorkerStatus], rows: Iterable[Row]) -> list[str]:
    """What a person should look at, one sentence each; empty when all is well."""
    found = [] if living else ["no worker is alive"]
    for row in gpu_rows(living):
        if row["verdict"] in ("unhealthy", "unknown"):
            reasons = ", ".join(row["reasons"]) or "no reason given"
            found.append(f"{row['worker']}: GPU {row['index']} is {row['verdict']}: {reasons}")
    for row in rows:
        if row["waiting"] and not row["consumers"]:
            found.append(f"queue {row['name']} has {row['waiting']} waiting, and no worker looks into it")
    return found


def node_rows(living: Sequence[WorkerStatus]) -> list[Row]:
    """One row per node, the lightest first."""
    rows = []
    for node in sorted({worker.node for worker in living}):
        here = [worker for worker in living if worker.node == node]
        gpus = gpu_rows(here)
        used = [row["memory_used"] for row in gpus]
        states = [row["verdict"] for row in gpus]
        rows.append(
            {
                "node": node,
                "workers": len(here),
                "gpus": len(gpus),
                "cpu_load": max(worker.cpu_load for worker in here),
                "memory_used": sum(used) if gpus and None not in used else None,
                "memory_total": sum(row["memory_total"] for row in gpus),
                "verdict": _worst(states),
                "draining": [worker.name for worker in here if worker.draining],
                "reasons": [f"GPU {row['index']}: {reason}" for row in gpus for reason in row["reasons"]],
                "running": sum(len(worker.running) for worker in here),
                # A node is as light as the lightest worker that could take its next GPU task.
                "score": min(worker.score for worker in ([w for w in here if w.gpus and w.takes_work] or here)),
                "age": round(max(worker.age for worker in here), 3),
            }
        )
    return sorted(rows, key=lambda row: (row["verdict"] in ("unhealthy", "unknown"), row["score"], row["node"]))


def _worst(states: Sequence[str]) -> str | None:
    """The verdict of a node: its worst GPU's; None for a node without GPUs."""
    order = ("unknown", "unhealthy", "degraded", "healthy")
    return next((state for state in order if state in states), None)
