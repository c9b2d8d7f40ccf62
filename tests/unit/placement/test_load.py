"""How heavy a worker is, and how workers are ranked by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridq.placement.load import Weights, gpu_load, rank, score
from gridq.units import GIB

shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("running", "slots", "used", "expected"),
    [(0, 1, 0, 0.0), (1, 1, 0, 0.5), (1, 1, 24, 1.0), (1, 4, 12, 0.375), (2, 4, None, 0.5), (3, 2, 48, 1.0)],
)
def test_load_is_the_mean_of_slots_and_memory_in_use(
    running: int, slots: int, used: int | None, expected: float
) -> None:
    assert gpu_load(running, slots, None if used is None else used * GIB, 24 * GIB) == expected


def test_memory_that_the_driver_does_not_tell_is_not_made_up() -> None:
    assert gpu_load(1, 2, None, 24 * GIB) == gpu_load(1, 2, 5, 0) == 0.5


def test_the_gpu_counts_three_times_as_much_as_the_cpus() -> None:
    assert score(1.0, 0.0, Weights()) == 1.0
    assert score(0.0, 1.0, Weights()) == 3.0
    assert score(0.5, 0.5, Weights(cpu=2, gpu=4)) == 3.0


def test_a_load_average_above_the_number_of_cores_counts_as_full() -> None:
    assert score(17.0, 0.0, Weights()) == 1.0
    assert score(-1.0, 0.0, Weights()) == 0.0


def test_the_lightest_ranks_first_and_among_equals_the_smallest_gpu() -> None:
    light_and_large, light_and_small, heavy = rank(0.1, 80 * GIB), rank(0.1, 24 * GIB), rank(0.3, 8 * GIB)
    assert light_and_small < light_and_large < heavy


def test_noise_in_a_reading_does_not_outweigh_size() -> None:
    assert rank(0.11, 24 * GIB) < rank(0.09, 80 * GIB)


@given(lighter=shares, heavier=shares, small=st.integers(1, 288), large=st.integers(1, 288))
def test_a_tenth_of_load_outweighs_any_size(lighter: float, heavier: float, small: int, large: int) -> None:
    if round(lighter * 10) < round(heavier * 10):
        assert rank(lighter, large * GIB) < rank(heavier, small * GIB)
