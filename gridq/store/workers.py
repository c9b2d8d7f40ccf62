"""Heartbeats: what each worker says of itself every few seconds, and until when it may be believed.

One hash holds one JSON text per worker, written together with the renewal of its lease (store/leases.py).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Self

from gridq.gpu.device import Device
from gridq.gpu.health import Verdict
from gridq.gpu.plain import known
from gridq.gpu.reading import Reading
from gridq.queues import Seat
from gridq.store.client import Client
from gridq.store.keys import GPUS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GpuStatus:
    """A GPU as its worker last saw it.

    Attributes:
        device: what it is.
        verdict: whether it may take work.
        reading: what it said last; None before the first time.
        reading_age: of that, seconds at the time of the heartbeat.
        foreign: bytes that programs outside of gridq hold; None where the driver does not list who holds memory.
        xids: how often each XID error happened since the worker's start, by number.
    """

    device: Device
    verdict: Verdict
    reading: Reading | None = None
    reading_age: float = 0.0
    foreign: int | None = None
    xids: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "device": self.device.to_dict(),
            "verdict": self.verdict.to_dict(),
            "reading": self.reading.to_dict() if self.reading else None,
            "reading_age": self.reading_age,
            "foreign": self.foreign,
            "xids": dict(self.xids),
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The inverse of `to_dict`, as far as the writer's version knew these fields."""
        reading = plain.get("reading")
        return cls(
            Device.from_dict(plain["device"]),
            Verdict.from_dict(plain["verdict"]),
            Reading.from_dict(reading) if reading else None,
            plain.get("reading_age", 0.0),
            plain.get("foreign"),
            dict(plain.get("xids") or {}),
        )


#: What Redis says of a heartbeat, not the worker.
_OF_REDIS = ("draining", "expires_at", "age")


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
        version: gridq's, of the worker; empty for one that did not say it yet.
        round_trip: seconds that Redis took to answer the heartbeat before; None before the first answer.
        idle_while_waiting: seconds since the worker's start in which it took work and ran nothing, while work that fits
            it waited.
        shut: whether the worker itself knows that it shall take no more tasks: it is drained, or about to stop.
        draining: whether it shall take none, also if it does not know yet.
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
    version: str = ""
    round_trip: float | None = None
    idle_while_waiting: float = 0.0
    shut: bool = False
    draining: bool = False
    expires_at: float = 0.0
    age: float = 0.0

    @property
    def seat(self) -> Seat | None:
        """What queue names can ask of this worker; None for a CPU worker."""
        if not self.gpus:
            return None
        return Seat.of([(gpu.device.memory_total, gpu.device.model) for gpu in self.gpus], self.node)

    @property
    def takes_work(self) -> bool:
        """Whether all of its GPUs may take work."""
        return all(gpu.verdict.takes_work for gpu in self.gpus)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        # When it was written and until when it holds is Redis' to say.
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in _OF_REDIS}
        return plain | {
            "gpus": [gpu.to_dict() for gpu in self.gpus],
            "running": list(self.running),
            "queues": list(self.queues),
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The inverse of `to_dict`, as far as the writer's version knew these fields."""
        unsaid = {"node": plain["name"].partition("@")[2], "token": "", "pid": 0}  # nosec B105 # no password
        lists = {
            "gpus": tuple(GpuStatus.from_dict(gpu) for gpu in plain.get("gpus") or ()),
            "running": tuple(plain.get("running") or ()),
            "queues": tuple(plain.get("queues") or ()),
        }
        return cls(**(unsaid | known(cls, plain) | lists))


def living(client: Client) -> list[WorkerStatus]:
    """Every worker whose lease holds, by name."""
    now, found, drains = client.run("living")
    drained, workers = {bytes(name).decode() for name in drains}, []
    for ends, written, text in zip(found[::3], found[1::3], found[2::3], strict=True):
        status = _read(text)
        if status is None:
            continue
        age = (int(now) - int(written)) / 1000
        draining = status.shut or status.name in drained or status.node in drained
        workers.append(replace(status, draining=draining, expires_at=int(ends) / 1000, age=age))
    return sorted(workers, key=lambda worker: worker.name)


def _read(text: bytes | str) -> WorkerStatus | None:
    """A heartbeat; None for one that cannot be read, so that it does not hide the rest of the fleet."""
    try:
        return WorkerStatus.from_dict(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        _complain(repr(error))
        return None


@lru_cache(maxsize=64)
def _complain(error: str) -> None:
    # Cached, so that what is found several times a second is said once.
    logger.warning("a worker's heartbeat cannot be read, and the worker is passed over: %s", error)


def seats_seen(client: Client) -> list[Seat]:
    """One seat for each GPU ever seen, also of nodes that are away now."""
    return seats_of(json.loads(text) for text in client.command("HVALS", GPUS))


def gpus_seen(client: Client) -> dict[str, Device]:
    """Every GPU ever seen by uuid, also of nodes that are away now."""
    facts = (json.loads(text) for text in client.command("HVALS", GPUS))
    return {fact["uuid"]: Device.from_dict(fact) for fact in facts if fact.get("uuid")}


def seats_of(facts: Iterable[dict[str, Any]]) -> list[Seat]:
    """Seats from the values of `gridq:gpus`; what another version wrote there and has no seat in it is passed over."""
    wanted = {"gpus", "memory_total", "model", "node"}
    known_ones = (fact for fact in facts if fact.keys() >= wanted)
    return [Seat(fact["gpus"], fact["memory_total"], fact["model"], fact["node"]) for fact in known_ones]
