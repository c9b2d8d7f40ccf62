"""What is known of one setting before anyone sets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Knob:
    """What is known of one setting before anyone sets it.

    Attributes:
        parse: from what a person wrote to the typed value; ValueError says what was expected and what came.
        unit: `seconds`, or empty where the value has none.
        range: the values that are taken, in words.
        default: the default, in words.
        reason: what it is for, and why the default is what it is.
    """

    parse: Callable[[object], Any]
    unit: str
    range: str
    default: str
    reason: str


def written(seconds: float) -> str:
    """Seconds as a person writes them in a setting: `24h`, `10m`, `0.5s`."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
