"""What the listings show: workers, GPUs, queues and problems, as plain rows that are also the JSON."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gridq.config import mask
from gridq.queues import CLASSES, CPU, GPU, admits, is_constrained
from gridq.store import claims, workers
from gridq.store.client import Client
from gridq.store.gpus import gpu_rows
from gridq.store.keys import DELAYED, PRIORITY_SEPARATOR
from gridq.store.workers import WorkerStatus

Row = dict[str, Any]

#: kombu's steps: a message's priority is rounded down to one of them; the first has no suffix.
_STEPS = (0, 3, 6, 9)


@dataclass(frozen=True, slots=True)
class Cluster:
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


def look(client: Client, url: str) -> Cluster:
    """Ask the store for everything once."""
    began = time.perf_counter()
    client.now()
    latency = time.perf_counter() - began
    living = workers.living(client)
    queues = queue_rows(client, living)
    return Cluster(
        broker={"url": mask(url), "version": _version(client), "latency": round(latency, 6)},
        workers=[worker_row(worker) for worker in living],
        gpus=gpu_rows(living),
        queues=queues,
        problems=problems(living, queues),
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
    constrained = claims.constrained_queues(client)
    counts = sorted({worker.seat.gpus for worker in living if worker.seat} | {1, 2, 4, 8})
    names = {CPU, GPU, *constrained, *_class_names(counts)}
    names.update(queue for worker in living for queue in worker.queues)
    ordered = sorted(names)
    waiting = _lengths(client, ordered)
    taking = [worker for worker in living if not worker.draining]
    rows = [
        {"name": name, "waiting": waiting[name], "consumers": sum(looks_into(worker, name) for worker in taking)}
        for name in ordered
    ]
    return [row for row in rows if row["waiting"] or row["consumers"]]


def _class_names(counts: Iterable[int]) -> Iterable[str]:
    for gpus in counts:
        many = f".x{gpus}" if gpus > 1 else ""
        yield GPU + many
        yield from (f"{GPU}.{size}g{many}" for size in CLASSES)


def _lengths(client: Client, names: Sequence[str]) -> dict[str, int]:
    suffixes = [f"{PRIORITY_SEPARATOR}{step}" if step else "" for step in _STEPS]
    lengths = iter(client.commands([("LLEN", name + suffix) for name in names for suffix in suffixes]))
    return {name: sum(int(next(lengths)) for _ in suffixes) for name in names}


def looks_into(worker: WorkerStatus, queue: str) -> bool:
    """Whether the worker consumes the queue. Those that ask for a model or a node it finds by itself."""
    if queue in worker.queues:
        return True
    return worker.seat is not None and is_constrained(queue) and admits(queue, worker.seat)


def problems(living: Sequence[WorkerStatus], queues: Iterable[Row]) -> list[str]:
    """What a person should look at, one sentence each; empty when all is well."""
    found = [] if living else ["no worker is alive"]
    for row in gpu_rows(living):
        if row["verdict"] in ("unhealthy", "unknown"):
            reasons = ", ".join(row["reasons"]) or "no reason given"
            found.append(f"{row['worker']}: GPU {row['index']} is {row['verdict']}: {reasons}")
    for row in queues:
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
