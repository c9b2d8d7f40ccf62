"""What the scripts count while tasks move: totals and histograms since this Redis was empty, for the exporter.

They are fields of one hash, `kind\\nlabels…`, written in the same step as what they count (scripts/records.lua), so a
worker or a producer that dies takes no count with it. Names of tasks are labels: the first 200 have counters of their
own, further ones share `(other)`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gridq.store.client import Client
from gridq.store.keys import COUNTERS

#: Kinds of histograms, and how many of the unit that the scripts count in make a second.
_PER_SECOND = {"wait": 1_000, "run": 1_000, "decision": 1_000_000}
_LARGEST_BOUND = 10**9
_FIRST_BOUND = 10


def _bounds() -> tuple[int, ...]:
    """10, 20, 50, 100, … of the scripts' unit, as `observe` in scripts/records.lua steps through them."""
    bounds = [_FIRST_BOUND]
    while bounds[-1] < _LARGEST_BOUND:
        bounds.append(bounds[-1] * 5 // 2 if len(bounds) % 3 == 2 else bounds[-1] * 2)
    return tuple(bounds)


BOUNDS = _bounds()


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long things took.

    Attributes:
        bounds: seconds, ascending.
        buckets: how many lie between each bound and the one before it; one more for those above the last bound.
        sum: seconds in all.
    """

    bounds: tuple[float, ...]
    buckets: tuple[int, ...]
    sum: float


@dataclass(frozen=True, slots=True)
class Counters:
    """Everything counted.

    Attributes:
        counts: by `(kind, label…)`: `("submitted", task)`, `("retried", task)`, `("completed", task, state)`,
            `("claims",)`, `("requeues", cause)`, `("dead",)`, `("leases_expired",)`. Causes: lease_expired,
            worker_restarted, worker_stopped, process_died, gpu_failed, released.
        histograms: by `(kind, task)`: `wait` (from its place in a queue to its start), `run`, and `("decision", "")`,
            how long the router took.
    """

    counts: dict[tuple[str, ...], int]
    histograms: dict[tuple[str, str], Histogram]


def read(client: Client) -> Counters:
    """Everything counted so far."""
    fields = client.command("HGETALL", COUNTERS)
    counts: dict[tuple[str, ...], int] = {}
    parts: dict[tuple[str, str], dict[str, int]] = {}
    for name, value in fields.items():
        labels = tuple(bytes(name).decode().split("\n"))
        if labels[0] in _PER_SECOND:
            parts.setdefault((labels[0], labels[1]), {})[labels[2]] = int(value)
        else:
            counts[labels] = int(value)
    return Counters(counts, {key: _histogram(key[0], found) for key, found in parts.items()})


def _histogram(kind: str, found: dict[str, int]) -> Histogram:
    unit = _PER_SECOND[kind]
    buckets = [found.get(str(bound), 0) for bound in BOUNDS] + [found.get("above", 0)]
    return Histogram(tuple(bound / unit for bound in BOUNDS), tuple(buckets), found.get("sum", 0) / unit)
