"""From reading to verdict: may this GPU take work, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from gridq.gpu.reading import Reading
from gridq.gpu.xid import Action, lookup
from gridq.units import format_seconds


class State(StrEnum):
    """healthy and degraded take work; unhealthy and unknown do not."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What gridq thinks of a GPU now, and the reasons in words that a person can act on."""

    state: State
    reasons: tuple[str, ...] = ()

    @property
    def takes_work(self) -> bool:
        """Whether a task may start on this GPU now."""
        return self.state in (State.HEALTHY, State.DEGRADED)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON types."""
        return {"state": self.state.value, "reasons": list(self.reasons)}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(State(plain["state"]), tuple(plain["reasons"]))


WARM_MARGIN = 5.0
"""Degrees Celsius below a card's limit from which it counts as degraded."""


def judge(reading: Reading | None, age: float, deadline: float) -> Verdict:
    """The verdict on a reading. Pure: what came before it counts only as far as the reading carries it (its XIDs).

    Args:
        reading: the newest one, None when there was none yet.
        age: seconds since it was taken, or since the first one was asked for.
        deadline: seconds after which a reading says nothing any more.
    """
    if reading is None or age > deadline:
        return Verdict(State.UNKNOWN, (_silent(reading, age, deadline),))
    sick, warm = _faults(reading), ""
    margin = _margin(reading)
    if margin is not None and margin <= WARM_MARGIN:
        limit = f"{reading.temperature:g}°C, the limit is {reading.temperature_limit:g}°C"
        if margin <= 0:
            sick.append(f"hot: {limit}")
        else:
            warm = f"warm: {limit}"
    if sick:
        return Verdict(State.UNHEALTHY, tuple(sick))
    return Verdict(State.DEGRADED, (warm,)) if warm else Verdict(State.HEALTHY)


def _silent(reading: Reading | None, age: float, deadline: float) -> str:
    if reading is None and age <= deadline:
        return "no reading yet"
    return f"no reading for {format_seconds(age)}, expected one within {format_seconds(deadline)}"


def _faults(reading: Reading) -> list[str]:
    faults = ["lost: the card has fallen off the bus"] if reading.lost else []
    if reading.remap_failed:
        faults.append("memory: the card could not replace a bad row")
    if reading.ecc_uncorrected:
        faults.append(f"memory: {reading.ecc_uncorrected} double-bit errors (ECC) since the driver was loaded")
    known = [lookup(number) for number in dict.fromkeys(reading.xids)]
    return faults + [f"{xid} ({xid.action})" for xid in known if xid.action in (Action.DRAIN, Action.QUARANTINE)]


def _margin(reading: Reading) -> float | None:
    if reading.temperature is None or reading.temperature_limit is None:
        return None
    return reading.temperature_limit - reading.temperature
