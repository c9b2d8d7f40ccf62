"""Whether the main loop turns, as far as its marks tell."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gridq.worker import pulse
from gridq.worker.pulse import TICK, Pulse


class Loop:
    """Stands in for kombu's hub; whoever tests it turns it."""

    def call_repeatedly(self, delay: float, mark: Callable[[], None]) -> Any:
        assert delay == TICK
        self.turn, self.entry = mark, SimpleNamespace(canceled=False)
        return self.entry


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(time=100.0)
    monkeypatch.setattr(pulse, "now", lambda: clock.time)
    return clock


def test_a_loop_that_turns_is_not_silent_and_one_that_hangs_is(clock: SimpleNamespace) -> None:
    watched, loop = Pulse(10.0), Loop()
    watched.follow(loop)
    loop.turn()
    clock.time += 5.9
    assert watched.silence is None
    clock.time += 0.2
    assert watched.silence == pytest.approx(6.1)
    loop.turn()
    assert watched.silence is None


def test_a_loop_that_has_not_begun_is_not_expected_to_turn(clock: SimpleNamespace) -> None:
    watched, loop = Pulse(10.0), Loop()
    assert watched.silence is None
    watched.follow(loop)
    clock.time += 60
    assert watched.silence is None


def test_a_loop_that_celery_has_left_to_connect_anew_is_not_expected_to_turn(clock: SimpleNamespace) -> None:
    watched, loop = Pulse(10.0), Loop()
    watched.follow(loop)
    loop.turn()
    loop.entry.canceled = True
    clock.time += 60
    assert watched.silence is None
