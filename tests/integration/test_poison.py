"""What ends a worker of stock Celery ends none here, nor the next one that takes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fleet import DEADLINE, Fleet


@pytest.fixture(autouse=True)
def nobody_ends(grid: Fleet) -> Iterator[None]:
    """The workers are the same before and after, and work."""
    before = {name: worker.token for name, worker in grid.living().items()}
    yield
    handles = [grid.task("work").delay() for _ in before]
    assert len(grid.results(handles)) == len(before)
    assert {name: worker.token for name, worker in grid.living().items()} == before


def test_a_task_that_runs_out_of_memory_fails_and_is_not_run_again(grid: Fleet) -> None:
    handle = grid.task("starve").delay()
    with pytest.raises(MemoryError, match="9 EiB"):
        handle.get(timeout=DEADLINE)
    assert grid.await_state(handle.id, "failed").reason == "MemoryError: unable to allocate 9 EiB"


def test_a_task_that_fails_with_what_is_no_text_fails_and_is_not_run_again(grid: Fleet) -> None:
    # As `os.fsdecode` makes it of a file's name.
    handle = grid.task("confess").delay("no such file: \udcff")
    with pytest.raises(ValueError, match="no such file"):
        handle.get(timeout=DEADLINE)
    assert grid.await_state(handle.id, "failed").reason == r"ValueError: no such file: \udcff"


@pytest.mark.parametrize(
    "headers", [{"timelimit": "x"}, {"stamps": 5, "stamped_headers": 7}], ids=["time limit", "stamps"]
)
def test_a_message_that_celery_fails_on_goes_to_the_dead_letters(grid: Fleet, headers: dict[str, Any]) -> None:
    handle = grid.task("work").apply_async(headers=headers)
    assert "Celery cannot" in grid.await_state(handle.id, "dead").reason
