"""`gridq tasks` and `gridq show` tell of real tasks: done, failed, retried, cancelled, waiting."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import family
import pytest
import shop
from click.testing import Result
from fleet import DEADLINE, Fleet, eventually

from gridq import config
from gridq.cli import results


@pytest.fixture
def gridq(grid: Fleet, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a gridq command for the fleet."""
    return family.terminal(grid, monkeypatch)


def test_a_failed_task_is_shown_with_its_traceback_and_its_gpu(grid: Fleet, gridq: Callable[..., Result]) -> None:
    handle = grid.task("broken").delay()
    record = grid.await_state(handle.id, "failed")
    shown = json.loads(gridq("show", handle.id, "--json").stdout)
    assert (shown["state"], shown["reason"]) == ("failed", "ValueError: out of stock")
    assert shown["result"]["state"] == "FAILURE"
    assert "raise ValueError" in shown["result"]["traceback"]
    assert (shown["args"], shown["kwargs"]) == ("()", "{}")
    (gpu,) = shown["gpus"]
    assert gpu["uuid"] == grid.living()[record.worker].gpus[0].device.uuid and "Simulated" in gpu["model"]
    assert shown["gpu_seconds"] > 0
    text = gridq("show", handle.id).stdout
    assert "failed on" in text and "traceback" in text and "ValueError: out of stock" in text
    assert f"gridq explain {handle.id}" in text


def test_a_retried_task_says_how_often_and_what_it_returned(grid: Fleet, gridq: Callable[..., Result]) -> None:
    handle = grid.task("flaky").apply_async((1, 0))
    handle.get(timeout=DEADLINE)
    grid.await_state(handle.id, "done")
    shown = json.loads(gridq("show", handle.id, "--json").stdout)
    assert (shown["attempts"], shown["retries"]) == (2, 1)
    assert shown["result"]["state"] == "SUCCESS" and "'try': 1" in shown["result"]["result"]
    assert "retried 1 time by itself" in gridq("show", handle.id).stdout


def test_a_task_that_says_ignore_has_not_failed(grid: Fleet, gridq: Callable[..., Result]) -> None:
    handle = grid.task("ignore").delay()
    assert handle.get(timeout=DEADLINE) == "mine"
    assert "ignored" in grid.await_state(handle.id, "done").reason
    assert json.loads(gridq("show", handle.id, "--json").stdout)["result"]["state"] == "SUCCESS"


def test_tasks_are_listed_by_state_name_and_time_the_newest_first(
    grid: Fleet, gridq: Callable[..., Result], signal_file: Path
) -> None:
    done = grid.task("add").delay(1, 2)
    done.get(timeout=DEADLINE)
    grid.await_state(done.id, "done")
    running = grid.task("wait_for").apply_async((str(signal_file),), vram="70GiB")
    grid.await_state(running.id, "running")
    waiting = grid.task("work").apply_async(vram="70GiB")
    # Times of tasks are told in milliseconds.
    at = grid.store.now()
    eventually(lambda: grid.store.now() > at + 0.002, "the clock has gone on")
    delayed = grid.task("work").apply_async(countdown=60)
    gridq("cancel", delayed.id)

    def listed(*arguments: str) -> list[str]:
        # The grid is shared: what other tests left there is none of this one's business.
        ours = {done.id, running.id, waiting.id, delayed.id}
        return [row["id"] for row in json.loads(gridq("tasks", "--json", *arguments).stdout) if row["id"] in ours]

    assert listed("--limit", "4") == [delayed.id, waiting.id, running.id, done.id]
    assert listed("--state", "waiting,running") == [waiting.id, running.id]
    assert listed("--state", "cancelled", "--limit", "1") == [delayed.id]
    assert done.id in listed("--task", "shop.add", "--since", "1m")
    assert listed("--task", "shop.nothing") == []
    # The heartbeat after the claim says so.
    eventually(lambda: "is busy: 1 of 1 slot taken" in gridq("tasks", "--state", "waiting").stdout, "why it waits")
    text = gridq("tasks", "--state", "waiting").stdout
    assert waiting.id in text and "1 running" in text
    shown = json.loads(gridq("show", waiting.id, "--json").stdout)
    assert shown["result"] is None and "is busy" in shown["reason"]
    signal_file.touch()
    grid.results([running, waiting])


def test_a_result_backend_that_is_silent_does_not_keep_anybody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        backend = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        app = shop.build(config.load(environ={"GRIDQ_BROKER_URL": backend, "GRIDQ_RESULT_BACKEND": backend}))
        assert "did not answer within 0.2s" in results.result_of(app, "some-id")["unknown"]
        app.close()


def test_the_first_characters_of_an_id_are_enough_where_only_one_task_has_them(
    grid: Fleet, gridq: Callable[..., Result]
) -> None:
    twins, alone = ["cafecafe-1", "cafecafe-2"], "deadbeef-3"
    for id in (*twins, alone):
        grid.task("add").apply_async((1, 2), task_id=id).get(timeout=DEADLINE)
        grid.await_state(id, "done")
    shown = json.loads(gridq("show", "deadbeef", "--json").stdout)
    assert (shown["id"], shown["result"]["state"]) == (alone, "SUCCESS")
    assert json.loads(gridq("explain", "deadbeef", "--json").stdout)["id"] == alone
    assert "it is done" in gridq("logs", "deadbeef").stderr
    assert gridq("cancel", "deadbeef").stdout == f"{alone} not cancelled: it is done already\n"
    assert "there is no record" in gridq("show", "deadbee").stderr
    several = gridq("cancel", "cafecafe")
    assert several.exit_code == 1
    assert f"with which 2 begin: {', '.join(twins)}\nhint: " in several.stderr


def test_a_task_without_a_record_is_met_with_how_long_records_are_kept(gridq: Callable[..., Result]) -> None:
    result = gridq("show", "nobody")
    assert result.exit_code == 1 and "hint: records are kept for 24h" in result.stderr
