"""What a call may ask for: refused at once when wrong, waiting when it cannot be met yet, and then met."""

from __future__ import annotations

from pathlib import Path

import pytest
import shop
from fleet import DEADLINE, NODE, Fleet, eventually

from gridq import config
from gridq.cli.fleet import queue_rows
from gridq.errors import NeedError, UnmetNeedError, UnmetNeedWarning


@pytest.mark.parametrize(
    "words",
    [
        {"vram": "a lot"},
        {"gpus": 0},
        {"vrma": "8GiB"},
        {"priority": "urgent"},
        {"gpu": False, "vram": 1},
        {"node": "a b"},
    ],
    ids=str,
)
def test_a_wrong_need_fails_in_the_caller_and_leaves_nothing(grid: Fleet, words: dict[str, object]) -> None:
    of_idle_workers = ("gridq:consumer:", "gridq:wake:", "gridq:ready:", "gridq:sample")
    grid.await_state(grid.task("add").delay(1, 2).id, "done")
    before = grid.database.names()
    with pytest.raises(NeedError):
        grid.task("work").apply_async(**words)
    assert {key for key in grid.database.names() - before if not key.startswith(of_idle_workers)} == set()


def test_an_impossible_need_waits_with_a_warning_and_can_be_cancelled(grid: Fleet) -> None:
    with pytest.warns(UnmetNeedWarning, match="100GiB.*the fleet has only") as told:
        handle = grid.task("work").apply_async(vram="100GiB")
    assert told[0].filename == __file__
    record = grid.record(handle.id)
    assert (record.state, record.queue) == ("waiting", "gpu.128g")
    assert grid.waiting() == {"gpu.128g\x06\x163": 1}
    grid.store.command("DEL", "gpu.128g\x06\x163")


def test_an_impossible_need_can_be_refused(grid: Fleet) -> None:
    app = shop.build(config.load(environ=grid.variables | {"GRIDQ_IMPOSSIBLE_NEEDS": "refuse"}))
    before = grid.waiting()
    with app, pytest.raises(UnmetNeedError, match="the fleet has only"):
        app.tasks["shop.work"].apply_async(models=["H100"])
    assert grid.waiting() == before


def test_a_model_is_asked_for_by_words_of_its_name(grid: Fleet) -> None:
    where = grid.task("work").apply_async(models=["H100", "48GiB"]).get(timeout=DEADLINE)
    assert where["gpu"] == grid.devices[2].uuid


def test_a_node_is_asked_for_by_its_name(grid: Fleet) -> None:
    where = grid.task("work").apply_async(node=NODE, vram="60GiB").get(timeout=DEADLINE)
    assert where["gpu"] == grid.devices[3].uuid
    assert grid.task("work_on_cpu").apply_async(node=NODE).get(timeout=DEADLINE)["worker"] == f"cpu@{NODE}"


def test_a_queue_that_no_worker_knew_is_found_by_those_that_were_busy(grid: Fleet, signal_file: Path) -> None:
    work, wait_for = grid.task("work"), grid.task("wait_for")
    busy = [wait_for.apply_async((str(signal_file),), vram=vram) for vram in ("60GiB", "30GiB", "20GiB", "20GiB")]
    for handle in busy:
        grid.await_state(handle.id, "running")
    handle = work.apply_async(models=["80GiB"], vram="50GiB")
    assert grid.record(handle.id).queue == "gpu.64g:80gib"
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["gpu"] == grid.devices[3].uuid
    assert grid.ledger.runs([handle.id])[0].start - grid.ledger.runs([busy[0].id])[0].end < 5.0
    grid.results(busy)


def test_a_task_can_be_pinned_to_one_worker(grid: Fleet) -> None:
    for index in (3, 0, 1):
        where = grid.task("work").apply_async(vram="8GiB", queue=f"gpu{index}@{NODE}").get(timeout=DEADLINE)
        assert where["worker"] == f"gpu{index}@{NODE}"


def test_a_pinned_task_waits_for_its_worker_although_others_are_free(grid: Fleet, signal_file: Path) -> None:
    busy = grid.task("wait_for").apply_async((str(signal_file),), vram="70GiB")
    grid.await_state(busy.id, "running")
    pinned = grid.task("work").apply_async(queue=f"gpu3@{NODE}")
    grid.task("work").delay().get(timeout=DEADLINE)
    assert grid.record(pinned.id).state == "waiting"
    signal_file.touch()
    assert pinned.get(timeout=DEADLINE)["worker"] == f"gpu3@{NODE}"
    busy.get(timeout=DEADLINE)


def test_a_task_too_large_for_what_is_free_waits_and_lets_smaller_ones_pass(grid: Fleet, signal_file: Path) -> None:
    busy = grid.task("wait_for").apply_async((str(signal_file),), vram="60GiB")
    grid.await_state(busy.id, "running")
    large = grid.task("work").apply_async(vram="70GiB")
    small = [grid.task("work").apply_async(vram="20GiB") for _ in range(6)]
    grid.results(small)
    assert grid.record(large.id).state == "waiting"
    signal_file.touch()
    assert large.get(timeout=DEADLINE)["gpu"] == grid.devices[3].uuid
    busy.get(timeout=DEADLINE)


def test_urgent_tasks_go_before_those_that_came_earlier(grid: Fleet, signal_file: Path) -> None:
    busy = grid.task("wait_for").apply_async((str(signal_file),), vram="70GiB")
    grid.await_state(busy.id, "running")
    priorities = ("low", "normal", "high", "normal")
    sent = [grid.task("work").apply_async(vram="50GiB", priority=priority) for priority in priorities]
    signal_file.touch()
    grid.results([busy, *sent])
    order = [run.task for run in grid.ledger.runs([handle.id for handle in sent])]
    assert order == [sent[index].id for index in (2, 1, 3, 0)]


def test_a_record_explains_why_a_task_went_where_it_went(grid: Fleet) -> None:
    grid.await_rested()
    handle = grid.task("work").apply_async(vram="40GiB")
    handle.get(timeout=DEADLINE)
    record = grid.await_state(handle.id, "done")
    assert record.placement["candidates"][0]["worker"] == f"gpu2@{NODE}"
    assert record.placement["rejected"] == {"has 24GiB of memory in all": 2}
    assert {"waiting_at", "placed_at", "started_at", "finished_at"} <= record.times.keys()


def test_no_claim_is_left_when_all_is_done(grid: Fleet) -> None:
    grid.results([grid.task("work").delay() for _ in range(8)])
    eventually(lambda: not [key for key in grid.database.names() if key.startswith("gridq:claims:")], "no claims")
    assert grid.waiting() == {}


def test_what_waits_for_a_worker_or_a_node_that_is_away_is_seen(grid: Fleet) -> None:
    sent = [
        grid.task("work").apply_async(queue="gpu9@away"),
        grid.task("add").apply_async((1, 2), node="away"),
    ]
    rows = {row["name"]: row for row in queue_rows(grid.store, list(grid.living().values()))}
    for handle, queue in zip(sent, ("gpu9@away", "cpu@away"), strict=True):
        assert rows[queue] == {"name": queue, "waiting": 1, "consumers": 0}
        handle.revoke()
