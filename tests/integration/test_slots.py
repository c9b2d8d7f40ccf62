"""Several tasks on one GPU: as many as there are slots and memory for, never more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fleet import DEADLINE, NODE, Fleet, eventually
from ledger import most_at_once
from producers import by_hand

from gridq.units import GIB

SHARED = f"gpu0@{NODE}"


@pytest.fixture(scope="module")
def _shared(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    fleet = new_fleet("sim:24GiB")
    try:
        fleet.start_worker(SHARED, "gpu,cpu", "-c", "3")
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def shared(_shared: Fleet) -> Fleet:
    """One GPU of 24 GiB with three slots, which take CPU tasks too."""
    _shared.sim.reset(_shared.devices[0].uuid)
    _shared.await_idle()
    eventually(lambda: _shared.living()[SHARED].free == 24 * GIB, "all of its memory is free")
    return _shared


def test_tasks_share_a_gpu_and_never_ask_for_more_than_it_has(shared: Fleet) -> None:
    sizes = [8, 10, 8, 8, 10, 10, 12, 8, 20, 8, 8, 8] * 2
    sent = [shared.task("work").apply_async((0.05,), vram=f"{size}GiB") for size in sizes]
    shared.results(sent)
    runs = shared.ledger.runs([handle.id for handle in sent])
    assert len(runs) == len(sizes)
    assert most_at_once(runs, lambda run: run.vram) <= 24 * GIB
    assert most_at_once(runs, lambda run: 1) in (2, 3)


def test_there_are_as_many_tasks_as_slots_and_never_more(shared: Fleet, signal_file: Path) -> None:
    sent = [shared.task("wait_for").apply_async((str(signal_file),), vram="1GiB") for _ in range(5)]
    ids = [handle.id for handle in sent]
    eventually(lambda: len(shared.ledger.runs(ids)) == 3, "three run")
    assert sorted(shared.record(task_id).state for task_id in ids) == ["running"] * 3 + ["waiting"] * 2
    signal_file.touch()
    shared.results(sent)
    assert most_at_once(shared.ledger.runs(ids), lambda run: 1) == 3


def test_tasks_that_are_acked_as_they_begin_need_their_memory_all_the_same(shared: Fleet) -> None:
    sent = [shared.task("work_once").apply_async((0.3,), vram="16GiB") for _ in range(3)]
    shared.results(sent)
    assert most_at_once(shared.ledger.runs([handle.id for handle in sent]), lambda run: 1) == 1


def test_a_worker_of_both_kinds_takes_the_cpu_tasks_of_its_node(shared: Fleet) -> None:
    assert shared.task("add").apply_async((1, 2), node=NODE).get(timeout=DEADLINE) == 3


def test_messages_without_needs_share_a_gpu_as_their_queue_says(shared: Fleet) -> None:
    sent = [by_hand("shop.work", "gpu.24g", 0.3) for _ in range(3)]
    for _, text in sent:
        shared.store.command("LPUSH", "gpu.24g", text)
    ids = [task_id for task_id, _ in sent]
    for task_id in ids:
        shared.app.AsyncResult(task_id).get(timeout=DEADLINE)
    assert most_at_once(shared.ledger.runs(ids), lambda run: 1) == 1


def test_a_worker_of_both_kinds_goes_on_with_cpu_tasks_while_its_gpu_is_sick(shared: Fleet) -> None:
    assert shared.task("add").delay(1, 2).get(timeout=DEADLINE) == 3
    shared.sim.set(shared.devices[0].uuid, lost=True)
    eventually(lambda: not shared.living()[SHARED].takes_work, "the verdict is unhealthy")
    of_the_gpu = shared.task("work").delay()
    assert shared.results([shared.task("add").delay(number, 1) for number in range(4)]) == [1, 2, 3, 4]
    slow = shared.task("work_on_cpu").delay(1.0)
    slow.get(timeout=DEADLINE)
    assert len(shared.ledger.runs([slow.id])) == 1
    assert shared.record(of_the_gpu.id).state == "waiting"
    shared.sim.reset(shared.devices[0].uuid)
    assert of_the_gpu.get(timeout=DEADLINE)["worker"] == SHARED


def test_memory_that_others_hold_keeps_tasks_away_until_it_is_free(shared: Fleet) -> None:
    shared.sim.set(shared.devices[0].uuid, foreign=12 * GIB)
    eventually(lambda: shared.living()[SHARED].free == 12 * GIB, "the foreign memory is seen")
    large = shared.task("work").apply_async(vram="16GiB")
    small = [shared.task("work").apply_async((0.05,), vram="6GiB") for _ in range(4)]
    shared.results(small)
    assert shared.record(large.id).state == "waiting"
    assert most_at_once(shared.ledger.runs([handle.id for handle in small]), lambda run: run.vram) <= 12 * GIB
    shared.sim.reset(shared.devices[0].uuid)
    assert large.get(timeout=DEADLINE)["worker"] == SHARED


def test_the_heartbeat_says_what_runs_and_what_is_left(shared: Fleet, signal_file: Path) -> None:
    sent = [shared.task("wait_for").apply_async((str(signal_file),), vram=vram) for vram in ("8GiB", "10GiB")]
    for handle in sent:
        shared.await_state(handle.id, "running")
    status = eventually(lambda: next((s for s in shared.living().values() if len(s.running) == 2), None), "both run")
    assert set(status.running) == {handle.id for handle in sent}
    assert (status.slots, status.free) == (3, 6 * GIB)
    # Held by the children that run them, as the simulated driver tells it.
    eventually(lambda: shared.living()[SHARED].gpus[0].reading.memory_used == 18 * GIB, "the driver shows 18 GiB")
    signal_file.touch()
    shared.results(sent)
