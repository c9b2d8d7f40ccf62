"""From reading to verdict: may this GPU take work, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from gridq.gpu.reading import Reading
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
        """The inverse of `to_dict`; a state that only a newer version knows is unknown here."""
        states = {state.value: state for state in State}
        return cls(states.get(plain.get("state", ""), State.UNKNOWN), tuple(plain.get("reasons") or ()))


WARM_MARGIN = 5.0
"""Degrees Celsius below a card's limit from which it counts as degraded."""


def judge(reading: Reading | None, age: float, deadline: float) -> Verdict:
    """The verdict on one reading alone. What came before it, XIDs and hysteresis are `gpu.course`'s.

    Args:
        reading: the newest one, None when there was none yet.
        age: seconds since it was taken, or since the first one was asked for.
        deadline: seconds after which a reading says nothing any more.
    """
    if reading is None or age > deadline:
        return Verdict(State.UNKNOWN, (_silent(reading, age, deadline),))
    sick, warm = list(faults(reading).values()), ""
    if reading.ecc_uncorrected:
        sick.append(double_bit(reading.ecc_uncorrected))
    margin = margin_of(reading)
    if margin is not None and margin <= WARM_MARGIN:
        if margin <= 0:
            sick.append(f"hot: {degrees(reading)}")
        else:
            warm = f"warm: {degrees(reading)}"
    if sick:
        return Verdict(State.UNHEALTHY, tuple(sick))
    return Verdict(State.DEGRADED, (warm,)) if warm else Verdict(State.HEALTHY)


def _silent(reading: Reading | None, age: float, deadline: float) -> str:
    if reading is None and age <= deadline:
        return "no reading yet"
    return f"no reading for {format_seconds(age)}, expected one within {format_seconds(deadline)}"


def faults(reading: Reading) -> dict[str, str]:
    """What is wrong with the card itself for as long as it says so, by name, in words."""
    found = {}
    if reading.lost:
        found["lost"] = "lost: the card has fallen off the bus"
    if reading.remap_failed:
        found["remap"] = "memory: the card could not replace a bad row"
    return found


def double_bit(count: int) -> str:
    """The reason for double-bit errors; the driver counts them until it is loaded again, so the count never falls."""
    return f"memory: {count} double-bit errors (ECC) since the driver was loaded"


def margin_of(reading: Reading) -> float | None:
    """Degrees Celsius up to the card's limit; None where it does not say."""
    if reading.temperature is None or reading.temperature_limit is None:
        return None
    return reading.temperature_limit - reading.temperature


def degrees(reading: Reading) -> str:
    """The temperature and its limit in words."""
    return f"{reading.temperature:g}°C, the limit is {reading.temperature_limit:g}°C"
