"""Cancelled tasks end, whether they wait or run, with all that they started; and their GPU is free again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import family
import pytest
import shop
from celery import chord, group
from celery.exceptions import TaskRevokedError
from click.testing import Result
from fleet import DEADLINE, NODE, Fleet, eventually
from lane import SUFFIXES, Lane

from gridq import config
from gridq.store import cancels, claims, telling
from gridq.worker import reaper

WORKER = f"gpu0@{NODE}"


@pytest.fixture(scope="module")
def _single(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    fleet = new_fleet("sim:24GiB", lease="3s", cpu_weight="0")
    family.add_to(fleet.app)
    try:
        fleet.start_worker(WORKER, "gpu", *family.OPTIONS)
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def single(_single: Fleet) -> Fleet:
    """One idle worker of 24 GiB."""
    _single.await_idle()
    return _single


@pytest.fixture
def gridq(single: Fleet, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a gridq command for the fleet."""
    return family.terminal(single, monkeypatch)


def test_what_waits_ends_at_once_and_never_runs(single: Fleet, gridq: Callable[..., Result], signal_file: Path) -> None:
    wait_for = single.task("wait_for")
    busy = wait_for.apply_async((str(signal_file),), vram="20GiB")
    single.await_state(busy.id, "running")
    work = single.task("work")
    waiting = work.apply_async(vram="20GiB", priority="high")
    delayed = work.apply_async(vram="20GiB", countdown=60)
    pinned = work.apply_async(queue=WORKER)
    result = gridq("cancel", waiting.id, delayed.id, pinned.id, "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [(row["id"], row["was"], row["state"]) for row in rows] == [
        (waiting.id, "waiting", "cancelled"),
        (delayed.id, "delayed", "cancelled"),
        (pinned.id, "waiting", "cancelled"),
    ]
    for handle in (waiting, delayed, pinned):
        with pytest.raises(TaskRevokedError):
            handle.get(timeout=DEADLINE)
        assert single.record(handle.id).reason == "cancelled before it began"
    assert single.waiting() == {}
    assert single.store.command("ZCARD", "gridq:delayed") == 0
    signal_file.touch()
    busy.get(timeout=DEADLINE)
    single.await_idle()
    assert single.ledger.runs([waiting.id, delayed.id, pinned.id]) == []


@pytest.mark.parametrize("stubborn", [False, True], ids=["heeds SIGTERM", "ignores SIGTERM"])
def test_what_runs_is_killed_with_all_that_it_started_and_the_gpu_is_free(
    single: Fleet, gridq: Callable[..., Result], tmp_path: Path, stubborn: bool
) -> None:
    handle = single.app.tasks["family.raise_family"].apply_async((str(tmp_path / "family"), stubborn), vram="20GiB")
    pids = family.await_family(tmp_path / "family")
    began = time.monotonic()
    next_one = single.task("work").apply_async(vram="20GiB")
    result = gridq("cancel", handle.id)
    took = time.monotonic() - began
    assert result.exit_code == 0, result.output
    assert f"cancelled; it ran on {WORKER}" in result.output
    # The record says so only when all of them are gone.
    assert family.living(pids) == []
    assert took < 2, f"took {took:.1f}s"
    with pytest.raises(TaskRevokedError):
        handle.get(timeout=DEADLINE)
    assert next_one.get(timeout=DEADLINE)["worker"] == WORKER
    record = single.record(handle.id)
    assert (record.state, record.reason, record.attempts) == ("cancelled", "terminated", 1)


def test_the_next_task_starts_only_when_the_processes_of_the_cancelled_one_are_gone(
    single: Fleet, tmp_path: Path
) -> None:
    handle = single.app.tasks["family.raise_family"].apply_async((str(tmp_path / "family"), True), vram="20GiB")
    pids = family.await_family(tmp_path / "family")
    handle.revoke(terminate=True)
    following = single.task("work").apply_async(vram="20GiB")

    def has_begun() -> bool:
        begun = bool(single.ledger.runs([following.id]))
        assert not begun or family.living(pids) == [], "two tasks were on one GPU"
        return begun

    eventually(has_begun, "the next task begins")


def test_celerys_own_revoke_ends_what_waits_without_any_worker(single: Fleet, signal_file: Path) -> None:
    busy = single.task("wait_for").apply_async((str(signal_file),), vram="20GiB")
    single.await_state(busy.id, "running")
    work = single.task("work")
    one = work.apply_async(vram="20GiB")
    one.revoke()
    assert single.record(one.id).state == "cancelled"
    several = group(work.si().set(vram="20GiB") for _ in range(3)).apply_async()
    several.revoke()
    assert {single.record(child.id).state for child in several.children} == {"cancelled"}
    # What runs goes on, unless it is to be terminated.
    busy.revoke()
    signal_file.touch()
    assert busy.get(timeout=DEADLINE)["worker"] == WORKER


def test_a_chord_learns_that_one_of_its_tasks_was_cancelled(single: Fleet, signal_file: Path) -> None:
    busy = single.task("wait_for").apply_async((str(signal_file),), vram="20GiB")
    single.await_state(busy.id, "running")
    scale = single.task("scale")
    ending = chord([scale.s(1), scale.s(2)])(single.task("total").s())
    ending.parent.children[0].revoke()
    signal_file.touch()
    with pytest.raises(Exception, match="revoked"):
        ending.get(timeout=DEADLINE)


def test_what_has_ended_already_is_said_to_have(single: Fleet, gridq: Callable[..., Result]) -> None:
    done = single.task("work").apply_async()
    done.get(timeout=DEADLINE)
    single.await_state(done.id, "done")
    result = gridq("cancel", done.id)
    assert (result.exit_code, result.output) == (1, f"{done.id} not cancelled: it is done already\n")
    result = gridq("cancel", "nobody", "--json")
    assert result.exit_code == 1 and json.loads(result.stdout)[0]["was"] == "unknown"
    assert done.get(timeout=DEADLINE)


def test_a_task_that_is_cancelled_while_its_worker_dies_does_not_run_again(
    single: Fleet, tmp_path: Path, gridq: Callable[..., Result]
) -> None:
    from gridq.broker.control import cancel

    handle = single.app.tasks["family.raise_family"].apply_async((str(tmp_path / "family"),), vram="20GiB")
    family.await_family(tmp_path / "family")
    node = single.node(WORKER)
    node.container.may_end = True
    node.container.kill("SIGSTOP")  # It hears nothing any more.
    (task,) = cancel(single.app, single.store, [handle.id], terminate=True)
    assert (task.state, task.ended) == ("running", False)
    node.container.kill_all()
    node.container.may_end = False
    node.restart()
    assert single.await_state(handle.id, "cancelled").attempts == 1
    assert single.waiting() == {}


def saved_group(single: Fleet) -> Any:
    """A group whose result was saved, of tasks that wait for their time."""
    made = group(single.task("work").si().set(countdown=60) for _ in range(2)).apply_async()
    made.save()
    return made


def test_a_group_can_be_cancelled_by_its_id(single: Fleet, gridq: Callable[..., Result]) -> None:
    made = saved_group(single)
    result = gridq("cancel", made.id)
    assert result.exit_code == 0, result.output
    assert result.output.count("cancelled before it began") == 2


def test_a_caller_learns_of_a_cancel_that_ended_with_its_worker(database: Any) -> None:
    """Whoever cancelled it told the worker, which died before it heard."""
    variables = {"GRIDQ_BROKER_URL": database.url, "GRIDQ_RESULT_BACKEND": database.results}
    app = shop.build(config.load(environ=variables))
    lane = Lane(database.client)
    worker = lane.consumer("gpu0@node1", queues=("cpu",))
    handle = app.tasks["shop.add"].delay(1, 2)
    claim, _, _ = worker.look()
    found = cancels.cancel(lane.client, [handle.id], SUFFIXES, life=60, running=True)
    assert [task.ended for task in found] == [False]
    claims.release(lane.client, worker.worker, [claim])
    assert lane.record(handle.id).state == "cancelled" and worker.look() is None
    reaper.tell_all(lane.client, app)
    with pytest.raises(TaskRevokedError):
        handle.get(timeout=DEADLINE)
    assert telling.waiting(lane.client, cancels.UNTOLD) == []
    app.close()
