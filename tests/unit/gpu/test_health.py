"""Readings in, verdicts out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridq.gpu.health import State, Verdict, judge
from gridq.gpu.reading import Reading

DEADLINE = 3.0


def verdict(**said: object) -> Verdict:
    return judge(Reading("GPU-0", **said), age=0.5, deadline=DEADLINE)


def test_a_gpu_that_says_nothing_bad_is_healthy() -> None:
    assert verdict(temperature=60, temperature_limit=90, ecc_uncorrected=0, remap_failed=False) == Verdict(
        State.HEALTHY
    )


def test_a_gpu_that_says_nothing_at_all_is_healthy_while_it_answers() -> None:
    assert verdict() == Verdict(State.HEALTHY)


def test_no_reading_yet_is_unknown() -> None:
    assert judge(None, 1.0, DEADLINE) == Verdict(State.UNKNOWN, ("no reading yet",))


@pytest.mark.parametrize("reading", [None, Reading("GPU-0"), Reading("GPU-0", lost=True)])
def test_an_overdue_reading_is_unknown_and_says_since_when(reading: Reading | None) -> None:
    reason = "no reading for 3.4s, expected one within 3s"
    assert judge(reading, 3.4, DEADLINE) == Verdict(State.UNKNOWN, (reason,))


def test_a_reading_counts_up_to_the_deadline() -> None:
    assert judge(Reading("GPU-0"), DEADLINE, DEADLINE).state is State.HEALTHY


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"lost": True}, "lost: the card has fallen off the bus"),
        ({"remap_failed": True}, "memory: the card could not replace a bad row"),
        ({"ecc_uncorrected": 2}, "memory: 2 double-bit errors (ECC) since the driver was loaded"),
        ({"temperature": 90, "temperature_limit": 90}, "hot: 90°C, the limit is 90°C"),
        ({"temperature": 97.5, "temperature_limit": 90}, "hot: 97.5°C, the limit is 90°C"),
    ],
)
def test_a_fault_makes_a_gpu_unhealthy_and_is_the_reason(said: dict[str, object], reason: str) -> None:
    assert verdict(**said) == Verdict(State.UNHEALTHY, (reason,))


@pytest.mark.parametrize("temperature", [85, 89.9])
def test_near_its_limit_a_gpu_is_degraded_and_takes_work(temperature: float) -> None:
    warm = verdict(temperature=temperature, temperature_limit=90)
    assert warm == Verdict(State.DEGRADED, (f"warm: {temperature:g}°C, the limit is 90°C",))
    assert warm.takes_work


@pytest.mark.parametrize("said", [{"temperature": 84.9, "temperature_limit": 90}, {"temperature": 200}])
def test_a_temperature_says_nothing_away_from_a_limit_or_without_one(said: dict[str, float]) -> None:
    assert verdict(**said).state is State.HEALTHY


def test_every_fault_is_named_once() -> None:
    found = verdict(lost=True, ecc_uncorrected=1, temperature=95, temperature_limit=90)
    assert [reason.split(":")[0] for reason in found.reasons] == ["lost", "memory", "hot"]


def test_only_healthy_and_degraded_take_work() -> None:
    assert [state for state in State if Verdict(state).takes_work] == [State.HEALTHY, State.DEGRADED]


@given(
    temperature=st.none() | st.floats(0, 150),
    limit=st.none() | st.floats(50, 120),
    lost=st.booleans(),
    age=st.floats(0, 10),
)
def test_whatever_takes_no_work_or_less_of_it_says_why(
    temperature: float | None, limit: float | None, lost: bool, age: float
) -> None:
    reading = Reading("GPU-0", temperature=temperature, temperature_limit=limit, lost=lost)
    found = judge(reading, age, DEADLINE)
    assert bool(found.reasons) == (found.state is not State.HEALTHY)
    assert Verdict.from_dict(found.to_dict()) == found
