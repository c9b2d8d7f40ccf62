"""revoke, inspect, Flower, beat and pytest-celery work as with any Celery worker."""

from __future__ import annotations

import json
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import shop
from celery.exceptions import TaskRevokedError
from fleet import DEADLINE, NODE, Fleet, eventually
from pytest_celery import CeleryTestSetup

NAMES = [*(f"gpu{index}@{NODE}" for index in range(4)), f"cpu@{NODE}"]


def test_a_task_that_waits_can_be_revoked_and_never_runs(grid: Fleet, signal_file: Path) -> None:
    busy = grid.task("wait_for").apply_async((str(signal_file),), vram="70GiB")
    grid.await_state(busy.id, "running")
    handle = grid.task("work").apply_async(vram="70GiB")
    grid.app.control.revoke(handle.id, reply=True, timeout=DEADLINE, destination=NAMES)
    signal_file.touch()
    with pytest.raises(TaskRevokedError):
        handle.get(timeout=DEADLINE)
    assert grid.await_state(handle.id, "cancelled").reason
    assert grid.ledger.runs([handle.id]) == []
    busy.get(timeout=DEADLINE)


def test_a_task_that_runs_can_be_revoked_and_its_worker_goes_on(grid: Fleet, signal_file: Path) -> None:
    handle = grid.task("wait_for").apply_async((str(signal_file),), vram="70GiB")
    eventually(lambda: grid.ledger.runs([handle.id]), "it has begun")
    grid.app.control.revoke(handle.id, terminate=True, signal="SIGKILL")
    with pytest.raises(TaskRevokedError):
        handle.get(timeout=DEADLINE)
    assert grid.await_state(handle.id, "cancelled").attempts == 1
    assert grid.task("work").apply_async(vram="70GiB").get(timeout=DEADLINE)["gpu"] == grid.devices[3].uuid


def test_inspect_sees_every_worker_its_tasks_and_its_queues(grid: Fleet, signal_file: Path) -> None:
    handle = grid.task("wait_for").apply_async((str(signal_file),), vram="70GiB")
    eventually(lambda: grid.ledger.runs([handle.id]), "it has begun")
    inspect = grid.app.control.inspect(destination=NAMES, timeout=DEADLINE)
    assert inspect.ping() == {name: {"ok": "pong"} for name in NAMES}
    active = inspect.active()
    assert [task["id"] for task in active[f"gpu3@{NODE}"]] == [handle.id]
    assert {queue["name"] for queue in inspect.active_queues()[f"gpu3@{NODE}"]} >= {f"gpu3@{NODE}", "gpu", "gpu.80g"}
    stats = inspect.stats()[f"gpu3@{NODE}"]
    assert (stats["running"], stats["slots_used"]) == (handle.id, 1)
    assert (stats["gpu3_uuid"], stats["gpu3_verdict"]) == (grid.devices[3].uuid, "healthy")
    assert stats["prefetch_count"] == 1
    signal_file.touch()
    handle.get(timeout=DEADLINE)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_flower_shows_workers_and_tasks(grid: Fleet) -> None:
    port = free_port()
    command = ["-m", "celery", "-A", "shop", "flower", "--address=127.0.0.1", f"--port={port}"]
    flower = grid.run("flower", *command, FLOWER_UNAUTHENTICATED_API="true")

    def ask(path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            assert flower.status == "running", flower.logs()
            return None

    try:
        eventually(lambda: set(ask("/api/workers?refresh=1") or {}) >= set(NAMES), "Flower has all workers")
        workers = ask("/api/workers")
        assert workers[f"gpu3@{NODE}"]["stats"]["gpu3_memory_total_gib"] == 80
        handle = grid.task("work").apply_async(vram="70GiB")
        handle.get(timeout=DEADLINE)
        tasks = eventually(lambda: (ask("/api/tasks") or {}).get(handle.id), "Flower has seen the task")
        assert tasks["worker"] == f"gpu3@{NODE}"
        eventually(lambda: ask("/api/tasks")[handle.id]["state"] == "SUCCESS", "Flower has seen its end")
        lengths = ask("/api/queues/length")
        assert {queue["name"] for queue in lengths["active_queues"]} >= {"gpu", "gpu.80g", "cpu"}
    finally:
        flower.teardown()


def test_beat_sends_tasks_with_their_needs(grid: Fleet, tmp_path: Path) -> None:
    known = len(grid.ledger.runs())
    beat = grid.run(
        "beat", "-m", "celery", "-A", "shop", "beat", "-s", str(tmp_path / "schedule"), **{shop.SCHEDULED: "1"}
    )
    try:
        eventually(lambda: len(grid.ledger.runs()) >= known + 2, f"beat has sent two\n{beat.logs()}")
    finally:
        beat.teardown()
    assert {run.vram for run in grid.ledger.runs()[known:]} == {20 * 2**30}


def test_pytest_celery_takes_the_fleet_for_its_own(celery_setup: CeleryTestSetup) -> None:
    assert celery_setup.ready(control=True, docker=True)
    assert {worker.hostname() for worker in celery_setup.worker_cluster} == set(NAMES)
    handle = celery_setup.app.tasks["shop.work"].apply_async(vram="70GiB")
    assert handle.get(timeout=DEADLINE)["worker"] == f"gpu3@{NODE}"
    celery_setup.worker.assert_log_exists("ready.")
