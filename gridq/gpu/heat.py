"""Hot and warm, with hysteresis both ways: a temperature that swings about a line does not swing the verdict."""

from __future__ import annotations

from gridq.gpu.health import WARM_MARGIN, State, Verdict, degrees, margin_of
from gridq.gpu.reading import Reading
from gridq.units import format_seconds

READINGS = 3
"""Readings in a row that make a GPU hot or warm, or that show that one which fell silent answers again."""
COOL_MARGIN = 8.0
"""Degrees Celsius below its limit that a card must stay to count as cool again: 3 below where it counts as warm."""


class Heat:
    """The temperature of one GPU over time.

    Args:
        recovery: seconds for which a hot or warm GPU must stay cool.
    """

    def __init__(self, recovery: float) -> None:
        self._recovery = recovery
        self._hot_in_a_row = 0
        self._warm_in_a_row = 0
        self._cool_since: float | None = None
        self._state = State.HEALTHY
        self._said = ""
        self._cools = True

    def take(self, reading: Reading, now: float) -> None:
        """Take a new reading into account; `now` in seconds. One without a temperature says neither hot nor cool."""
        margin = margin_of(reading)
        hot, warm = margin is not None and margin <= 0, margin is not None and margin <= WARM_MARGIN
        self._hot_in_a_row = self._hot_in_a_row + 1 if hot else 0
        self._warm_in_a_row = self._warm_in_a_row + 1 if warm else 0
        if margin is None or margin <= COOL_MARGIN:
            self._cool_since = None
        elif self._cool_since is None:
            self._cool_since = now
        if self._hot_in_a_row >= READINGS:
            self._state = State.UNHEALTHY
        elif self._warm_in_a_row >= READINGS and self._state is State.HEALTHY:
            self._state = State.DEGRADED
        elif self._cool_since is not None and now - self._cool_since >= self._recovery:
            self._state = State.HEALTHY
        self._said = degrees(reading) if margin is not None else "it does not say its temperature"
        self._cools = not (hot or warm)

    def silence(self) -> None:
        """No reading in time: nothing is in a row any more, and nothing is known to be cool."""
        self._hot_in_a_row = self._warm_in_a_row = 0
        self._cool_since = None

    @property
    def verdict(self) -> Verdict:
        """Healthy, degraded (warm) or unhealthy (hot), and why."""
        if self._state is State.HEALTHY:
            return Verdict(State.HEALTHY)
        word = "hot" if self._state is State.UNHEALTHY else "warm"
        if not self._cools:
            return Verdict(self._state, (f"{word}: {self._said}",))
        back = f"until it has been {COOL_MARGIN:g}°C below it for {format_seconds(self._recovery)}"
        return Verdict(self._state, (f"{word} lately: {self._said}; {back}",))
