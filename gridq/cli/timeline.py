"""Samples of the fleet in equal steps of time: the least, the mean and the most of each series, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gridq.store.samples import Sample


@dataclass(frozen=True, slots=True)
class Stats:
    """What a series did in a time."""

    min: float
    mean: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Stats | None:
        """Of these values; None where there are none."""
        return cls(min(values), sum(values) / len(values), max(values)) if values else None


#: A sample with the one before it, which rates need.
Point = tuple[Sample | None, Sample]


def _rate(name: str) -> Callable[[Point], float | None]:
    """How many a minute, between a sample and the one before it."""

    def rate(point: Point) -> float | None:
        before, after = point
        if before is None or after.at <= before.at:
            return None
        more: int = getattr(after, name) - getattr(before, name)
        # A Redis that lost its memory counts anew.
        more = more if more >= 0 else getattr(after, name)
        return more * 60 / (after.at - before.at)

    return rate


def _memory(point: Point) -> float | None:
    used, total = point[1].memory_used, point[1].memory_total
    return None if used is None or not total else used / total


#: Every series by name: what it is at a sample.
SERIES: dict[str, Callable[[Point], float | None]] = {
    "running": lambda point: point[1].running,
    "waiting": lambda point: point[1].waiting,
    "gpus": lambda point: point[1].gpus,
    "gpus_busy": lambda point: point[1].busy,
    "gpus_out": lambda point: point[1].unhealthy + point[1].unknown,
    "utilization": lambda point: point[1].utilization,
    "memory": _memory,
    "power": lambda point: point[1].power,
    "done_per_minute": _rate("done"),
    "failed_per_minute": _rate("failed"),
    "dead": lambda point: point[1].dead,
}


@dataclass(frozen=True, slots=True)
class Timeline:
    """A time in equal steps.

    Attributes:
        begin: seconds of Redis' clock.
        step: seconds.
        points: the samples in each step.
    """

    begin: float
    step: float
    points: Sequence[Sequence[Point]]

    @classmethod
    def of(cls, samples: Sequence[Sample], begin: float, end: float, step: float) -> Timeline:
        """These samples, the oldest first, from `begin` to `end`; the last step may be a part of one."""
        count = max(1, -int(-(end - begin) // step))
        steps: list[list[Point]] = [[] for _ in range(count)]
        for before, sample in pairwise((None, *samples)):
            if sample is not None and begin <= sample.at <= end:
                steps[min(count - 1, int((sample.at - begin) // step))].append((before, sample))
        return cls(begin, step, steps)

    @property
    def taken(self) -> int:
        """How many samples there are."""
        return sum(map(len, self.points))

    def steps(self, series: str) -> list[Stats | None]:
        """What a series did in each step; None where no sample says it."""
        return [Stats.of(_values(series, points)) for points in self.points]

    def whole(self, series: str) -> Stats | None:
        """What a series did in all of the time."""
        return Stats.of([value for points in self.points for value in _values(series, points)])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; the keys are stable."""
        by_series = {name: self.steps(name) for name in SERIES}
        steps = [
            {"at": round(self.begin + number * self.step, 3), "samples": len(points)}
            | {name: _plain(found[number]) for name, found in by_series.items()}
            for number, points in enumerate(self.points)
        ]
        whole = {name: _plain(self.whole(name)) for name in SERIES}
        return {"begin": self.begin, "step": self.step, "samples": self.taken, "whole": whole, "steps": steps}


def _values(series: str, points: Sequence[Point]) -> list[float]:
    return [value for point in points if (value := SERIES[series](point)) is not None]


def _plain(stats: Stats | None) -> dict[str, float] | None:
    return None if stats is None else {name: round(getattr(stats, name), 4) for name in ("min", "mean", "max")}
