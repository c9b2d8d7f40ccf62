"""Why a task waits is one line, also for a fleet of a thousand GPUs."""

from __future__ import annotations

from typing import Any

import pytest
from made_up import cpu_worker, gpu, record, worker

from gridq.cli import waits
from gridq.gpu.health import State, Verdict
from gridq.units import GIB

SICK = Verdict(State.UNHEALTHY, ("hot",))


def why(living: list[Any], **changes: Any) -> str:
    """The line for one task."""
    return waits.reasons([record(**changes)], living, 1000.0)[record().id]


def busy(index: int, **changes: Any) -> Any:
    """A worker that runs something."""
    return worker(index, running=("a",), **changes)


@pytest.mark.parametrize(
    ("living", "line"),
    [
        ([], "no GPU worker is alive"),
        ([cpu_worker()], "no GPU worker is alive"),
        ([busy(0)], "gpu0@node1 is busy: 1 of 1 slot taken"),
        ([busy(0), busy(1)], "all 2 GPUs that fit are busy"),
        (
            [busy(0), busy(1), worker(2, gpus=(gpu(2, verdict=SICK),)), worker(3, draining=True)],
            "4 GPUs fit: 2 busy, 1 unhealthy, 1 draining",
        ),
        ([worker(0, free=4 * GIB)], "gpu0@node1 has 4GiB free, not 20GiB"),
        ([worker(0, free=4 * GIB), busy(1)], "2 GPUs fit: 1 short of memory, 1 busy"),
        ([worker(0, free=24 * GIB)], "gpu0@node1 could take it"),
    ],
)
def test_a_waiting_task_is_told_what_the_whole_fleet_does(living: list[Any], line: str) -> None:
    assert why(living) == line


def test_a_task_that_fits_nowhere_is_told_so() -> None:
    needs = {"gpu": True, "vram": 80 * GIB}
    assert why([worker(0)], needs=needs) == "gpu0@node1 has 24GiB of memory in all"
    assert why([worker(0), worker(1)], needs=needs) == "no GPU fits: each has 24GiB of memory in all"


def test_a_cpu_task_waits_for_those_who_look_into_its_queue() -> None:
    assert why([worker()], needs={}, queue="cpu") == "no worker looks into cpu"
    assert why([cpu_worker()], needs={}, queue="cpu") == "cpu@node1 could take it"


def test_a_task_of_another_program_whose_needs_nobody_can_read_is_told_so() -> None:
    assert why([worker()], needs={"gpu": 7}) == "cannot read what it needs"


def test_a_delayed_task_says_when_it_is_due_and_a_placed_one_where_it_goes() -> None:
    assert why([], state="delayed", times={"due_at": 1012.0}) == "due in 12s"
    assert why([], state="delayed", times={"due_at": 900.0}) == "due now"
    assert why([], state="placed", queue="gpu0@node1") == "gpu0@node1 takes it now"


def test_tasks_that_do_not_wait_have_no_such_line() -> None:
    assert waits.reasons([record(state="running")], [worker()], 1.0) == {}
