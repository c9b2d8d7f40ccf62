"""Heartbeats: what each worker says of itself every few seconds, and until when it may be believed.

One hash holds one JSON text per worker. `expires_at` (Redis' clock) ends the worker's lease: until then its tasks are
its own; afterwards it counts as dead. Heartbeats renew it. Who may do what when a lease ends is told in recovery.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

from gridq.gpu.device import Device
from gridq.gpu.health import Verdict
from gridq.gpu.reading import Reading
from gridq.queues import Seat
from gridq.store.client import Client
from gridq.store.keys import GPUS

#: Seconds after which a dead worker's last heartbeat is forgotten.
FORGET_AFTER = 3600.0


@dataclass(frozen=True, slots=True)
class GpuStatus:
    """A GPU as its worker last saw it; `reading_age` in seconds at the time of the heartbeat."""

    device: Device
    verdict: Verdict
    reading: Reading | None = None
    reading_age: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "device": self.device.to_dict(),
            "verdict": self.verdict.to_dict(),
            "reading": self.reading.to_dict() if self.reading else None,
            "reading_age": self.reading_age,
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        reading = plain["reading"]
        return cls(
            Device.from_dict(plain["device"]),
            Verdict.from_dict(plain["verdict"]),
            Reading.from_dict(reading) if reading else None,
            plain["reading_age"],
        )


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker's heartbeat.

    Attributes:
        name: `gpu0@node1`.
        node: the host.
        token: this incarnation of the worker; a restarted one has another.
        pid: of its main process.
        gpus: what it holds; empty for a CPU worker.
        slots: how many tasks it can run at a time.
        running: ids of the tasks that it holds.
        free: bytes of GPU memory that a further task could have, None for a CPU worker.
        cpu_load: load average of the node per core.
        score: how heavy the worker is; the lightest gets the next task.
        queues: into which it looks.
        expires_at: end of its lease, seconds of Redis' clock.
        age: seconds since the heartbeat, as of reading it.
    """

    name: str
    node: str
    token: str
    pid: int
    gpus: tuple[GpuStatus, ...] = ()
    slots: int = 1
    running: tuple[str, ...] = ()
    free: int | None = None
    cpu_load: float = 0.0
    score: float = 0.0
    queues: tuple[str, ...] = ()
    expires_at: float = 0.0
    age: float = 0.0

    @property
    def seat(self) -> Seat | None:
        """What queue names can ask of this worker; None for a CPU worker."""
        if not self.gpus:
            return None
        memory = min(gpu.device.memory_total for gpu in self.gpus)
        return Seat(len(self.gpus), memory, self.gpus[0].device.model, self.node)

    @property
    def takes_work(self) -> bool:
        """Whether all of its GPUs may take work."""
        return all(gpu.verdict.takes_work for gpu in self.gpus)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        # When it was written and until when it holds is Redis' to say.
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in ("expires_at", "age")}
        return plain | {
            "gpus": [gpu.to_dict() for gpu in self.gpus],
            "running": list(self.running),
            "queues": list(self.queues),
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        lists = {
            "gpus": tuple(GpuStatus.from_dict(gpu) for gpu in plain["gpus"]),
            "running": tuple(plain["running"]),
            "queues": tuple(plain["queues"]),
        }
        return cls(**(plain | lists))


def write(client: Client, status: WorkerStatus, lease: float) -> float:
    """Write a heartbeat that holds for `lease` seconds; returns the end of the lease, seconds of Redis' clock."""
    ends = client.run("heartbeat", status.name, int(lease * 1000), json.dumps(status.to_dict()), *_devices(status))
    return int(ends) / 1000


def _devices(status: WorkerStatus) -> list[str]:
    """The `gridq:gpus` fields of a heartbeat, key, facts, …; simulated GPUs have the same uuids on every node."""
    facts = {"node": status.node, "worker": status.name, "gpus": len(status.gpus)}
    return [
        text
        for gpu in status.gpus
        for text in (f"{status.node}/{gpu.device.uuid}", json.dumps(facts | gpu.device.to_dict()))
    ]


def living(client: Client) -> list[WorkerStatus]:
    """Every worker whose lease holds, by name."""
    now, found = client.run("living", int(FORGET_AFTER * 1000))
    workers = []
    for ends, written, text in zip(found[::3], found[1::3], found[2::3], strict=True):
        status = WorkerStatus.from_dict(json.loads(text))
        age = (int(now) - int(written)) / 1000
        workers.append(replace(status, expires_at=int(ends) / 1000, age=age))
    return sorted(workers, key=lambda worker: worker.name)


def forget(client: Client, name: str, token: str) -> bool:
    """Take a worker that stopped off the list, unless its name has a new holder; returns whether it was there."""
    return bool(client.run("forget", name, token))


def seats_seen(client: Client) -> list[Seat]:
    """One seat for each GPU ever seen, also of nodes that are away now."""
    return seats_of(json.loads(text) for text in client.command("HVALS", GPUS))


def seats_of(facts: Iterable[dict[str, Any]]) -> list[Seat]:
    """Seats from the values of `gridq:gpus`."""
    return [Seat(fact["gpus"], fact["memory_total"], fact["model"], fact["node"]) for fact in facts]
