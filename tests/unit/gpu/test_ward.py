"""A ward joins what a watch sees, the course of each GPU, and its canaries; old verdicts count for nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridq.gpu import ward as ward_module
from gridq.gpu.health import State, judge
from gridq.gpu.reading import Reading
from gridq.gpu.sim import Simulator
from gridq.gpu.ward import Ward
from gridq.gpu.watch import Observation
from gridq.gpu.xid import XidEvent

GPU, OTHER = "SIM-0000-24gib", "SIM-0001-24gib"
Eventually = Callable[..., Any]


class Watch:
    """Sees what it is told to; a new reading each time."""

    def __init__(self) -> None:
        self.xids: dict[str, tuple[XidEvent, ...]] = {}
        self.lost: set[str] = set()

    def latest(self, uuid: str) -> Observation:
        reading = Reading(uuid, lost=uuid in self.lost, xids=self.xids.get(uuid, ()))
        return Observation(reading, 0.0, judge(reading, 0.0, 3.0))


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def ward(watch: Watch, tmp_path: Path) -> Ward:
    return Ward(watch, [GPU, OTHER], recovery=0.01, patience=5.0, state_dir=tmp_path)  # type: ignore[arg-type]


def state(ward: Ward, uuid: str = GPU) -> State:
    return ward.latest(uuid).verdict.state


def test_nothing_is_known_before_the_first_tick(ward: Ward) -> None:
    assert ward.latest(GPU).verdict.reasons == ("no reading yet",)
    assert state(ward) is State.UNKNOWN


def test_each_gpu_has_a_course_of_its_own(ward: Ward, watch: Watch) -> None:
    ward.tick(idle=True)
    watch.lost.add(OTHER)
    assert (state(ward), state(ward, OTHER)) == (State.HEALTHY, State.HEALTHY)
    findings = ward.tick(idle=True)
    assert (findings[GPU].kill, findings[OTHER].kill) == (None, "lost: the card has fallen off the bus")
    assert (state(ward), state(ward, OTHER)) == (State.HEALTHY, State.UNHEALTHY)


def test_a_verdict_that_nobody_renews_counts_for_nothing(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.tick(idle=True)
    later = time.monotonic() + 6.0
    monkeypatch.setattr(ward_module.time, "monotonic", lambda: later)
    assert state(ward) is State.UNKNOWN
    assert ward.latest(GPU).verdict.reasons == ("its worker has not looked at it for 6s",)


def test_a_gpu_comes_back_by_a_canary_that_no_tick_waits_for(ward: Ward, watch: Watch, eventually: Eventually) -> None:
    ward.tick(idle=True)
    watch.xids[GPU] = (XidEvent(46, 1, time.monotonic()),)
    assert ward.tick(idle=True)[GPU].check
    slowest = 0.0

    def back() -> bool:
        nonlocal slowest
        began = time.monotonic()
        ward.tick(idle=True)
        slowest = max(slowest, time.monotonic() - began)
        return state(ward) is State.HEALTHY

    eventually(back)
    assert slowest < 0.5


def test_a_canary_that_fails_is_followed_by_another(
    ward: Ward, watch: Watch, tmp_path: Path, eventually: Eventually
) -> None:
    simulator = Simulator(tmp_path)
    simulator.set(GPU, canary_fails=True)
    ward.tick(idle=True)
    watch.xids[GPU] = (XidEvent(46, 1, time.monotonic()),)

    def says(word: str) -> bool:
        ward.tick(idle=True)
        return word in str(ward.latest(GPU).verdict.reasons)

    eventually(lambda: says("the check failed: the simulated card computes wrongly"))
    simulator.set(GPU, canary_fails=False)
    eventually(lambda: ward.tick(idle=True) and state(ward) is State.HEALTHY)
    ward.stop()
