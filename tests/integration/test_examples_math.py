"""The examples import without side effects, and the Collatz search finds the published records."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = Path(__file__).parents[2] / "examples"

pytest.importorskip("numpy")


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_under_test.{name}", EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def collatz() -> Any:
    return load_example("collatz")


@pytest.mark.parametrize(("limit", "start", "steps"), [(10**6, 837_799, 524), (10**7, 8_400_511, 685)])
@pytest.mark.parametrize("parts", [1, 7])
def test_the_published_records_are_found_in_parts_and_pass_the_check(
    collatz: Any, limit: int, start: int, steps: int, parts: int
) -> None:
    found = [collatz.longest(low, high) for low, high in collatz.ranges(limit, parts)]
    assert max(found, key=lambda pair: pair[1]) == (start, steps)
    assert collatz.chain(start) == steps


@pytest.mark.parametrize(
    ("limit", "start", "steps"),
    [(10, 9, 19), (100, 97, 118), (1000, 871, 178), (10**4, 6171, 261), (10**5, 77031, 350), (2, 1, 0), (3, 2, 1)],
)
def test_the_smaller_records_are_found_too(collatz: Any, limit: int, start: int, steps: int) -> None:
    assert collatz.longest(1, limit) == (start, steps)


@settings(max_examples=50, deadline=None)
@given(start=st.integers(1, 10**8), size=st.integers(1, 300))
def test_any_range_gives_what_counting_one_step_at_a_time_gives(collatz: Any, start: int, size: int) -> None:
    steps, number = max((collatz.chain(number), -number) for number in range(start, start + size))
    assert collatz.longest(start, start + size) == (-number, steps)


@given(limit=st.integers(2, 10**7), parts=st.integers(1, 100))
def test_the_parts_cover_every_number_once(collatz: Any, limit: int, parts: int) -> None:
    ranges = collatz.ranges(limit, parts)
    assert (ranges[0][0], ranges[-1][1]) == (1, limit)
    assert all(one[1] == two[0] for one, two in pairwise(ranges))
    assert all(low < high for low, high in ranges)


def test_the_highest_value_below_ten_million_is_far_from_the_limit_of_64_bits(collatz: Any) -> None:
    value = peak = 6_631_675
    while value != 1:
        value = 3 * value + 1 if value % 2 else value // 2
        peak = max(peak, value)
    assert peak == 60_342_610_919_632 < collatz.LARGEST


def test_a_chain_that_could_leave_64_bits_is_an_error_and_no_wrong_answer(collatz: Any) -> None:
    with pytest.raises(OverflowError):
        collatz.longest(8_528_817_511, 8_528_817_512)


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (5, 5), (7, 5)])
def test_an_empty_range_is_refused(collatz: Any, start: int, stop: int) -> None:
    with pytest.raises(ValueError, match="1 <= start < stop"):
        collatz.longest(start, stop)


def test_the_tasks_give_records_that_the_check_takes_and_wrong_ones_that_it_does_not(collatz: Any) -> None:
    records = [collatz.search.run(low, high) for low, high in collatz.ranges(10**5, 4)]
    record = collatz.best.run(records)
    assert (record["start"], record["steps"]) == (77031, 350)
    assert collatz.check.run(record) is True
    assert collatz.check.run(record | {"steps": 351}) is False


@pytest.mark.parametrize("name", ["collatz", "app_of_my_own"])
def test_importing_an_example_loads_no_array_library_and_opens_no_connection(name: str) -> None:
    script = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs): raise AssertionError('connected at import')\n"
        "socket.socket.connect = refuse\n"
        f"import examples.{name}\n"
        "print([name for name in ('numpy', 'torch', 'cupy') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
