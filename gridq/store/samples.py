"""Samples of the fleet, one a minute: what `gridq history` shows. Kept in a stream, whose ids are Redis' time.

All samples have the same fields, so the stream holds their names once for each hundred of them, and else only numbers.
What is not known is an empty text, since a field that is left out would cost more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from gridq.gpu.health import State
from gridq.store import counters, tasks, workers
from gridq.store.client import Client
from gridq.store.counters import Counters
from gridq.store.keys import PREFIX
from gridq.store.workers import WorkerStatus

SAMPLES = PREFIX + "samples"


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet at one moment.

    Attributes:
        at: seconds of Redis' clock.
        workers: whose lease held.
        healthy, degraded, unhealthy, unknown: how many GPUs had that verdict.
        busy: GPUs on which something ran.
        slots: how many tasks all GPU workers could run at a time.
        slots_used: how many they ran.
        utilization: mean over the GPUs that told theirs, 0 to 1; None if none did.
        memory_used: bytes in use on the GPUs that told theirs; None if none did.
        memory_total: bytes that these GPUs have.
        power: watts of the GPUs that told theirs; None if none did.
        running, waiting, delayed, dead: tasks in that state; what was placed and had not begun waited.
        submitted, done, failed, cancelled: tasks so far, since Redis was empty.
    """

    at: float
    workers: int = 0
    healthy: int = 0
    degraded: int = 0
    unhealthy: int = 0
    unknown: int = 0
    busy: int = 0
    slots: int = 0
    slots_used: int = 0
    utilization: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    power: float | None = None
    running: int = 0
    waiting: int = 0
    delayed: int = 0
    dead: int = 0
    submitted: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def gpus(self) -> int:
        """How many GPUs living workers held."""
        return self.healthy + self.degraded + self.unhealthy + self.unknown

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_texts(cls, at: float, texts: Mapping[str, str]) -> Self:
        """A sample from its entry in the stream, as far as the writer's version knew these fields."""
        known: dict[str, Any] = {name: _number(texts[name]) for name in _FIELDS if name in texts}
        return cls(at, **{name: value for name, value in known.items() if value is not None})

    def texts(self) -> list[str]:
        """Its entry in the stream: name, value, name, value, …"""
        return [text for name in _FIELDS for text in (name, _text(getattr(self, name)))]


_FIELDS = tuple(field.name for field in fields(Sample) if field.name != "at")


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether it is the asker's turn to take a sample, and the seconds until the next turn."""

    mine: bool
    left: float


def turn(client: Client, interval: float) -> Turn:
    """Ask for one's turn: one of all who ask in an interval of Redis' clock gets it.

    Args:
        interval: seconds.
    """
    mine, left = client.run("sample", int(interval * 1000))
    return Turn(bool(mine), int(left) / 1000)


def take(client: Client) -> Sample:
    """The fleet as it is now."""
    living, states, counted = workers.living(client), tasks.counts(client), counters.read(client)
    return of_fleet(living, states, counted, client.now())


def of_fleet(living: Sequence[WorkerStatus], states: Mapping[str, int], counted: Counters, now: float) -> Sample:
    """The sample of these workers, these numbers of tasks by state, and these counters."""
    held = [(worker, gpu) for worker in living for gpu in worker.gpus]
    verdicts = [gpu.verdict.state for _, gpu in held]
    readings = [gpu.reading for _, gpu in held if gpu.reading is not None]
    used = [(gpu.reading.memory_used, gpu.device.memory_total) for _, gpu in held if gpu.reading is not None]
    memory = [(amount, total) for amount, total in used if amount is not None]
    loads = [reading.utilization for reading in readings if reading.utilization is not None]
    watts = [reading.power for reading in readings if reading.power is not None]
    return Sample(
        at=now,
        workers=len(living),
        **{state.value: verdicts.count(state) for state in State},
        busy=sum(bool(worker.running) for worker, _ in held),
        slots=sum(worker.slots for worker in living if worker.gpus),
        slots_used=sum(len(worker.running) for worker in living if worker.gpus),
        utilization=round(sum(loads) / len(loads), 4) if loads else None,
        memory_used=sum(amount for amount, _ in memory) if memory else None,
        memory_total=sum(total for _, total in memory) if memory else None,
        power=round(sum(watts)) if watts else None,
        running=sum(len(worker.running) for worker in living),
        waiting=states.get("waiting", 0) + states.get("placed", 0),
        delayed=states.get("delayed", 0),
        dead=states.get("dead", 0),
        submitted=_sum(counted, "submitted"),
        **{state: _sum(counted, "completed", state) for state in ("done", "failed", "cancelled")},
    )


def add(client: Client, sample: Sample, *, life: float) -> None:
    """Keep a sample, with the time at which Redis gets it, and forget those that are older than `life` seconds."""
    earliest = max(0, int((sample.at - life) * 1000))
    client.commands(
        [
            ("XADD", SAMPLES, "MINID", "=", earliest, "*", *sample.texts()),
            # Where no worker is left to trim, all of them end with the youngest.
            ("PEXPIRE", SAMPLES, int(life * 1000)),
        ]
    )


def read(client: Client, since: float) -> list[Sample]:
    """The samples from a time of Redis' clock on, the oldest first.

    Args:
        since: seconds.
    """
    found = client.command("XRANGE", SAMPLES, max(0, int(since * 1000)), "+")
    return [_sample(bytes(entry).decode(), texts) for entry, texts in found]


def _sample(entry: str, texts: Mapping[bytes, bytes]) -> Sample:
    plain = {name.decode(): value.decode() for name, value in texts.items()}
    return Sample.from_texts(int(entry.partition("-")[0]) / 1000, plain)


def _sum(counted: Counters, kind: str, state: str | None = None) -> int:
    return sum(
        number for (first, *labels), number in counted.counts.items() if first == kind and state in (None, *labels[1:])
    )


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def _number(text: str) -> float | None:
    return None if not text else float(text) if "." in text or "e" in text else int(text)
