"""Every setting by name: how its value is read, its unit, range and default, and the reason for that default.

knob (what is known of a setting) · parsers (how values are read) · places, life, placing, memory (the settings)
"""

from __future__ import annotations

from dataclasses import dataclass

from gridq.knobs.knob import Knob as Knob
from gridq.knobs.knob import written as written
from gridq.knobs.life import LIFE
from gridq.knobs.memory import MEMORY
from gridq.knobs.places import PLACES
from gridq.knobs.placing import PLACING

KNOBS: dict[str, Knob] = PLACES | LIFE | PLACING | MEMORY


@dataclass(frozen=True, slots=True)
class Described:
    """One setting as `gridq config show` tells it; passwords are masked."""

    name: str
    value: str
    source: str
    unit: str
    range: str
    default: str
    reason: str


def described(name: str, value: str, source: str) -> Described:
    """The setting with its value and where that came from."""
    knob = KNOBS[name]
    return Described(name, value, source, knob.unit, knob.range, knob.default, knob.reason)
