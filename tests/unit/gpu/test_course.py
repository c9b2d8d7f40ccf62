"""The verdict over time: hard faults at once, flapping ones with hysteresis, and nothing comes back unchecked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridq.gpu.course import HOUR, MOST_RECYCLES, Check, Course, Finding, Outcome
from gridq.gpu.health import State, judge
from gridq.gpu.heat import READINGS
from gridq.gpu.reading import Reading
from gridq.gpu.watch import Observation
from gridq.gpu.xid import TABLE, Action, XidEvent

RECOVERY, DEADLINE, LIMIT = 60.0, 3.0, 90.0
LOST = "lost: the card has fallen off the bus"
PASSED, FAILED = Check(Outcome.PASSED), Check(Outcome.FAILED, "it computes wrongly")


class Gpu:
    """One GPU whose clock the test turns: a reading a second, as it was told to be."""

    def __init__(self) -> None:
        self.course = Course(RECOVERY)
        self.now = 1000.0
        self.said: dict[str, Any] = {"temperature": 40.0, "temperature_limit": LIMIT, "ecc_uncorrected": 0}
        self.idle = True
        self._ids = itertools.count(1)
        self._xids: tuple[XidEvent, ...] = ()
        self._reading: Reading | None = None
        self.look()

    def fire(self, *numbers: int) -> Finding:
        self._xids += tuple(XidEvent(number, next(self._ids), self.now) for number in numbers)
        return self.look()

    def look(self, seconds: float = 1.0, **said: Any) -> Finding:
        """A new reading so much later, which says what changed."""
        self.said |= said
        self.now += seconds
        self._reading = Reading("GPU-0", xids=self._xids, **self.said)
        return self._look(0.0)

    def again(self, seconds: float) -> Finding:
        """Another look at the same reading."""
        self.now += seconds
        return self._look(seconds)

    def silence(self, seconds: float = DEADLINE + 1) -> Finding:
        return self.again(seconds)

    def _look(self, age: float) -> Finding:
        seen = Observation(self._reading, age, judge(self._reading, age, DEADLINE))
        return self.course.look(seen, self.now, idle=self.idle)

    def wait(self, seconds: float, **said: Any) -> Finding:
        """A reading a second for so long."""
        for _ in range(int(seconds)):
            found = self.look(1.0, **said)
        return found

    def check(self, check: Check = PASSED) -> Finding:
        """The canary that is wanted now ends so."""
        assert self.look().check, "no canary is wanted"
        started = self.now
        self.now += 0.5
        self.course.checked(check, started, self.now)
        return self.look()

    @property
    def state(self) -> State:
        return self.look().verdict.state


@pytest.fixture
def gpu() -> Gpu:
    return Gpu()


def of(action: Action) -> list[int]:
    return [xid.number for xid in TABLE if xid.action is action]


def test_a_gpu_that_answers_is_healthy_with_its_first_reading(gpu: Gpu) -> None:
    assert gpu.look() == Finding(gpu.look().verdict)
    assert gpu.state is State.HEALTHY


def test_before_the_first_reading_it_is_unknown() -> None:
    seen = Observation(None, 0.5, judge(None, 0.5, DEADLINE))
    found = Course(RECOVERY).look(seen, 0.0, idle=True)
    assert (found.verdict.state, found.verdict.reasons) == (State.UNKNOWN, ("no reading yet",))


# -- what XIDs do


@pytest.mark.parametrize("number", of(Action.QUARANTINE))
def test_a_quarantine_xid_ends_the_tasks_and_needs_calm_and_a_canary(gpu: Gpu, number: int) -> None:
    found = gpu.fire(number)
    assert (found.verdict.state, found.check) == (State.UNHEALTHY, False)
    assert found.kill is not None and found.kill.startswith(f"XID {number}: ")
    assert gpu.wait(RECOVERY - 1).kill == found.kill
    assert not gpu.look(0.5).check
    assert gpu.look().check
    assert "it is being checked" in gpu.look().verdict.reasons
    assert gpu.check().verdict.state is State.HEALTHY
    assert gpu.look().kill is None


@pytest.mark.parametrize("number", [*of(Action.DRAIN), 4711])
def test_a_drain_xid_leaves_tasks_running_and_needs_a_canary_once_they_have_ended(gpu: Gpu, number: int) -> None:
    gpu.idle = False
    found = gpu.fire(number)
    assert (found.verdict.state, found.kill, found.recycle, found.check) == (State.UNHEALTHY, None, False, False)
    assert gpu.wait(10 * RECOVERY).verdict.reasons[-1] == "it is checked when the task on it has ended"
    gpu.idle = True
    assert gpu.look().check
    assert gpu.check().verdict.state is State.HEALTHY


@pytest.mark.parametrize("number", of(Action.RECYCLE))
def test_a_recycle_xid_replaces_processes_and_the_gpu_goes_on(gpu: Gpu, number: int) -> None:
    found = gpu.fire(number)
    assert (found.verdict.state, found.kill, found.recycle) == (State.HEALTHY, None, True)
    assert not gpu.look().recycle


@pytest.mark.parametrize("number", of(Action.BLAME_TASK))
def test_an_xid_of_the_tasks_own_making_changes_no_verdict_and_is_told_once(gpu: Gpu, number: int) -> None:
    found = gpu.fire(number)
    assert (found.verdict.state, found.kill, found.recycle) == (State.HEALTHY, None, False)
    assert [event.number for event in found.events] == [number]
    assert gpu.look().events == ()
    assert [event.number for event in gpu.fire(number).events] == [number]


def test_one_that_was_dealt_with_is_behind_it_and_its_repetition_is_not(gpu: Gpu) -> None:
    gpu.fire(79)
    gpu.wait(RECOVERY)
    assert gpu.check().verdict.state is State.HEALTHY
    assert gpu.wait(10).verdict.state is State.HEALTHY
    assert gpu.fire(79).kill is not None


def test_recycling_too_often_drains_by_rate(gpu: Gpu) -> None:
    for _ in range(MOST_RECYCLES - 1):
        assert gpu.fire(94).verdict.state is State.HEALTHY
    gpu.now += HOUR
    assert gpu.fire(94).verdict.state is State.HEALTHY
    gpu.wait(5)
    gpu.fire(63)
    found = gpu.fire(94)
    assert (found.verdict.state, found.kill) == (State.UNHEALTHY, None)
    assert "3 such errors within an hour" in found.verdict.reasons[0]
    assert gpu.check().verdict.state is State.HEALTHY


# -- what readings do


def test_a_lost_card_ends_the_tasks_and_comes_back_when_it_was_found_again_calm_and_checked(gpu: Gpu) -> None:
    found = gpu.look(lost=True, temperature=None)
    assert (found.verdict.reasons, found.kill) == ((LOST,), LOST)
    assert gpu.wait(3 * RECOVERY).kill and not gpu.look().check
    found = gpu.look(lost=False, temperature=40.0)
    assert found.verdict.state is State.UNHEALTHY
    assert found.verdict.reasons[-1] == "it is checked after 1m 00s without further trouble"
    gpu.wait(RECOVERY)
    assert gpu.check().verdict.state is State.HEALTHY


def test_a_fault_stands_until_a_reading_says_otherwise_however_short_the_recovery(gpu: Gpu) -> None:
    gpu.course = Course(0.1)
    gpu.wait(READINGS)
    gpu.look(lost=True, temperature=None)
    assert not gpu.again(DEADLINE - 1).check


def test_a_row_that_cannot_be_replaced_takes_no_work_and_leaves_what_runs(gpu: Gpu) -> None:
    found = gpu.look(remap_failed=True)
    assert (found.verdict.state, found.kill) == (State.UNHEALTHY, None)
    assert not gpu.wait(2 * RECOVERY).check
    gpu.wait(RECOVERY + 1, remap_failed=False)
    assert gpu.check().verdict.state is State.HEALTHY


def test_double_bit_errors_count_when_there_are_more_of_them_not_for_ever(gpu: Gpu) -> None:
    found = gpu.look(ecc_uncorrected=2)
    assert found.verdict.reasons[0] == "memory: 2 double-bit errors (ECC) since the driver was loaded"
    assert (found.verdict.state, found.kill) == (State.UNHEALTHY, None)
    gpu.wait(RECOVERY)
    assert gpu.check().verdict.state is State.HEALTHY
    assert gpu.look(ecc_uncorrected=0).verdict.state is State.HEALTHY
    assert gpu.look(ecc_uncorrected=1).verdict.state is State.UNHEALTHY


def test_a_double_bit_error_that_was_contained_condemns_the_process_only(gpu: Gpu) -> None:
    gpu.said["ecc_uncorrected"] = 1
    found = gpu.fire(94)
    assert (found.verdict.state, found.recycle) == (State.HEALTHY, True)
    assert gpu.wait(10).verdict.state is State.HEALTHY
    assert gpu.look(ecc_uncorrected=2).verdict.state is State.UNHEALTHY


def test_a_gpu_that_falls_ill_again_within_the_hour_must_stay_calm_for_twice_as_long(gpu: Gpu) -> None:
    for hold in (RECOVERY, 2 * RECOVERY, 4 * RECOVERY):
        gpu.fire(79)
        assert not gpu.wait(hold - 1).check
        assert gpu.check().verdict.state is State.HEALTHY
    gpu.now += HOUR
    gpu.fire(79)
    gpu.wait(RECOVERY)
    assert gpu.check().verdict.state is State.HEALTHY


# -- heat


def test_hot_needs_several_readings_in_a_row(gpu: Gpu) -> None:
    for _ in range(5):
        assert gpu.wait(READINGS - 1, temperature=LIMIT).verdict.takes_work
        assert gpu.look(temperature=60.0).verdict.takes_work
    found = gpu.wait(READINGS, temperature=95.0)
    assert (found.verdict.state, found.verdict.reasons) == (State.UNHEALTHY, ("hot: 95°C, the limit is 90°C",))
    assert (found.kill, found.check) == (None, False)


def test_hot_takes_work_again_when_it_was_cool_for_long_enough_and_needs_no_canary(gpu: Gpu) -> None:
    gpu.wait(READINGS, temperature=95.0)
    assert gpu.wait(10 * RECOVERY, temperature=LIMIT - 7).verdict.state is State.UNHEALTHY
    assert gpu.wait(RECOVERY - 1, temperature=LIMIT - 9).verdict.state is State.UNHEALTHY
    assert gpu.look(temperature=LIMIT - 7).verdict.state is State.UNHEALTHY
    found = gpu.wait(RECOVERY, temperature=LIMIT - 9)
    assert found.verdict.reasons == ("hot lately: 81°C, the limit is 90°C; until it has been 8°C below it for 1m 00s",)
    assert gpu.look().verdict.state is State.HEALTHY


def test_warm_takes_work_and_has_the_same_hysteresis(gpu: Gpu) -> None:
    assert gpu.wait(READINGS - 1, temperature=86.0).verdict.state is State.HEALTHY
    found = gpu.look()
    assert (found.verdict.state, found.verdict.reasons) == (State.DEGRADED, ("warm: 86°C, the limit is 90°C",))
    assert gpu.wait(RECOVERY, temperature=60.0).verdict.state is State.DEGRADED
    assert gpu.look().verdict.state is State.HEALTHY


def test_a_card_that_does_not_say_its_temperature_any_more_stays_hot(gpu: Gpu) -> None:
    gpu.wait(READINGS, temperature=95.0)
    assert gpu.wait(2 * RECOVERY, temperature=None).verdict.state is State.UNHEALTHY


# -- silence


def test_silence_is_unknown_at_once_and_over_after_several_readings(gpu: Gpu) -> None:
    found = gpu.silence()
    assert (found.verdict.state, found.kill) == (State.UNKNOWN, None)
    for at in range(1, READINGS):
        assert gpu.look().verdict.reasons == (f"answers again: {at} of {READINGS} readings in time",)
    assert gpu.state is State.HEALTHY


def test_an_ill_gpu_that_falls_silent_stays_ill_and_starts_its_calm_anew(gpu: Gpu) -> None:
    gpu.fire(79)
    gpu.wait(RECOVERY - 2)
    found = gpu.silence()
    assert found.verdict.state is State.UNHEALTHY
    assert [reason.split(" ")[0] for reason in found.verdict.reasons] == ["XID", "no"]
    assert not gpu.wait(RECOVERY - 1).check
    assert gpu.check().verdict.state is State.HEALTHY


def test_no_canary_is_sent_to_a_gpu_that_has_only_just_begun_to_answer(gpu: Gpu) -> None:
    gpu.idle = False
    gpu.fire(46)
    gpu.silence()
    gpu.idle = True
    assert [gpu.look().check for _ in range(READINGS)] == [False] * (READINGS - 1) + [True]


# -- canaries


def test_a_failed_canary_keeps_it_out_and_is_repeated_ever_more_rarely(gpu: Gpu) -> None:
    gpu.fire(46)
    found = gpu.check(FAILED)
    assert found.verdict.state is State.UNHEALTHY
    assert found.verdict.reasons[-1] == "the check failed: it computes wrongly; it is repeated every 1m 00s"
    assert not gpu.wait(RECOVERY - 3).check
    gpu.wait(2)
    assert gpu.check(FAILED).verdict.reasons[-1].endswith("every 2m 00s")
    assert not gpu.wait(2 * RECOVERY - 3).check
    gpu.wait(2)
    assert gpu.check().verdict.state is State.HEALTHY


def test_a_canary_that_began_before_the_last_fault_says_nothing(gpu: Gpu) -> None:
    gpu.fire(46)
    started = gpu.now
    gpu.fire(79)
    gpu.course.checked(PASSED, started, gpu.now)
    assert gpu.state is State.UNHEALTHY


def test_where_nothing_can_check_the_readings_decide_and_the_verdict_says_so(gpu: Gpu) -> None:
    gpu.fire(74)
    found = gpu.check(Check(Outcome.ABSENT, "unchecked after a fault"))
    assert (found.verdict.state, found.verdict.reasons) == (State.DEGRADED, ("unchecked after a fault",))
    assert found.verdict.takes_work
    gpu.fire(74)
    assert gpu.check().verdict.reasons == ()


# -- whatever happens

STEPS = st.one_of(
    st.tuples(st.just("look"), st.fixed_dictionaries({"lost": st.booleans(), "temperature": st.floats(30, 110)})),
    st.tuples(st.just("look"), st.fixed_dictionaries({"ecc_uncorrected": st.integers(0, 3)})),
    st.tuples(st.just("look"), st.fixed_dictionaries({"remap_failed": st.booleans()})),
    st.tuples(st.just("fire"), st.sampled_from([13, 46, 63, 79, 94, 95, 4711])),
    st.tuples(st.just("silence"), st.floats(DEADLINE + 0.1, 100)),
    st.tuples(st.just("wait"), st.integers(1, 200)),
    st.tuples(st.just("check"), st.sampled_from(Outcome)),
    st.tuples(st.just("idle"), st.booleans()),
)


def play(gpu: Gpu, steps: list[tuple[str, Any]]) -> Iterator[tuple[str, Any, Finding]]:
    wanted: float | None = None
    for name, value in steps:
        if name == "check":
            if wanted is not None:
                gpu.course.checked(Check(value, "why"), wanted, gpu.now)
            wanted, found = None, gpu.look()
        elif name == "idle":
            gpu.idle = value
            found = gpu.look()
        elif name == "look":
            found = gpu.look(**value)
        else:
            found = getattr(gpu, name)(value)
        if found.check and wanted is None:
            wanted = gpu.now
        yield name, value, found


@given(st.lists(STEPS, max_size=40))
@settings(deadline=None)
def test_it_never_takes_work_while_a_hard_fault_stands_or_unchecked_after_one(steps: list[tuple[str, Any]]) -> None:
    gpu, ill = Gpu(), False
    for name, value, found in play(gpu, steps):
        if name == "check" and value is not Outcome.FAILED and found.verdict.takes_work:
            ill = False
        ill = ill or (name == "fire" and value in (46, 79, 95, 4711))
        ill = ill or bool(gpu.said.get("lost") or gpu.said.get("remap_failed"))
        assert not (ill and found.verdict.takes_work), (name, value, found)
        assert not (found.kill and found.verdict.takes_work)
        assert not (name == "silence" and found.verdict.takes_work)
        assert not (found.check and (found.verdict.takes_work or not gpu.idle))
        assert bool(found.verdict.reasons) == (found.verdict.state is not State.HEALTHY)


@given(st.lists(STEPS, max_size=30))
@settings(deadline=None)
def test_whatever_happened_a_gpu_that_is_well_comes_back(steps: list[tuple[str, Any]]) -> None:
    gpu = Gpu()
    for _ in play(gpu, steps):
        pass
    gpu.idle = True
    gpu.said |= {"lost": False, "remap_failed": False, "temperature": 40.0, "ecc_uncorrected": 0}
    for _ in range(200):
        if gpu.look(RECOVERY).check:
            gpu.check()
    # Unchecked ones stay degraded, and say so.
    assert gpu.look().verdict.takes_work
