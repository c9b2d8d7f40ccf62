"""Tasks have soft and hard time limits; a task that is killed for its time leaves nothing behind on its GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import family
import pytest
from celery.exceptions import TimeLimitExceeded
from fleet import DEADLINE, NODE, Fleet, eventually

WORKER = f"gpu0@{NODE}"


@pytest.fixture(scope="module")
def single(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    """One worker of 24 GiB."""
    fleet = new_fleet("sim:24GiB", lease="3s", cpu_weight="0")
    family.add_to(fleet.app)
    try:
        fleet.start_worker(WORKER, "gpu", *family.OPTIONS)
        yield fleet
    finally:
        fleet.stop()


@pytest.mark.parametrize("stubborn", [False, True], ids=["heeds SIGTERM", "ignores SIGTERM"])
def test_a_hard_limit_kills_all_that_the_task_started_and_the_gpu_takes_the_next(
    single: Fleet, tmp_path: Path, stubborn: bool
) -> None:
    raise_family = single.app.tasks["family.raise_family"]
    handle = raise_family.apply_async((str(tmp_path / "family"), stubborn), vram="20GiB", time_limit=1)
    pids = family.await_family(tmp_path / "family")
    following = single.task("work").apply_async(vram="20GiB")

    def has_begun() -> bool:
        begun = bool(single.ledger.runs([following.id]))
        assert not begun or family.living(pids) == [], "two tasks were on one GPU"
        return begun

    eventually(has_begun, "the next task begins", 5)
    assert following.get(timeout=DEADLINE)["worker"] == WORKER
    with pytest.raises(TimeLimitExceeded):
        handle.get(timeout=DEADLINE)
    record = single.await_state(handle.id, "failed")
    assert (record.reason, record.attempts) == ("hard time limit of 1s exceeded", 1)


def test_a_soft_limit_lets_the_task_tidy_up(single: Fleet) -> None:
    handle = single.app.tasks["family.tidy"].apply_async(vram="20GiB", soft_time_limit=0.5)
    assert handle.get(timeout=DEADLINE) == "tidied up"
    assert single.await_state(handle.id, "done").attempts == 1


def test_the_limits_of_a_waiting_task_count_from_its_start(single: Fleet, signal_file: Path) -> None:
    busy = single.task("wait_for").apply_async((str(signal_file),), vram="20GiB")
    single.await_state(busy.id, "running")
    handle = single.task("work").apply_async((0.3,), vram="20GiB", time_limit=2)
    late = single.task("work").apply_async((0.3,), vram="20GiB", time_limit=2)
    eventually(lambda: single.record(late.id).state == "waiting", "it waits")
    signal_file.touch()
    assert len(single.results([busy, handle, late])) == 3
