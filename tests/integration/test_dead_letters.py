"""Dead letters are listed, explained, retried and dropped; a worker that dies under `gridq up` takes its tasks back."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import family
import pytest
from click.testing import Result
from fleet import DEADLINE, NODE, Fleet, eventually
from test_cli import Terminal, read_until
from test_cli import terminal as terminal

from gridq.errors import TaskLost

WORKER = f"gpu0@{NODE}"


@pytest.fixture(scope="module")
def single(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    """One worker of 24 GiB, and a task is buried at its first loss."""
    fleet = new_fleet("sim:24GiB", lease="3s", cpu_weight="0", max_attempts="1")
    try:
        fleet.start_worker(WORKER, "gpu")
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def gridq(single: Fleet, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a gridq command for the fleet."""
    return family.terminal(single, monkeypatch)


def bury(fleet: Fleet, signal_file: Path) -> str:
    """A task whose process died; its id."""
    handle = fleet.task("wait_for").apply_async((str(signal_file),), vram="8GiB")
    (run,) = eventually(lambda: fleet.ledger.runs([handle.id]), "it has begun")
    os.kill(run.pid, signal.SIGKILL)
    fleet.await_state(handle.id, "dead")
    with pytest.raises(TaskLost, match="its process died"):
        handle.get(timeout=DEADLINE)
    return str(handle.id)


def test_a_dead_letter_is_listed_with_its_reason_and_runs_again_when_it_is_retried(
    single: Fleet, gridq: Callable[..., Result], signal_file: Path
) -> None:
    task_id = bury(single, signal_file)
    (row,) = json.loads(gridq("dead", "list", "--json").stdout)
    assert (row["id"], row["name"], row["worker"], row["queue"]) == (task_id, "shop.wait_for", WORKER, "gpu.8g")
    listed = gridq("dead", "list").output
    assert task_id in listed and "its process died" in listed and "hint: gridq explain ID" in listed
    explained = gridq("explain", task_id).output
    assert "state     dead" in explained and "its process died" in explained and f"retry {task_id}" in explained
    assert gridq("cancel", task_id).exit_code == 1
    signal_file.touch()
    assert gridq("dead", "retry", task_id).output == f"{task_id} back in the queue\n"
    single.await_state(task_id, "done")
    assert single.app.AsyncResult(task_id).get(timeout=DEADLINE)["worker"] == WORKER
    assert gridq("dead", "list").output == "no dead letters\n"


def test_a_dead_letter_that_is_dropped_is_forgotten_after_a_question(
    single: Fleet, gridq: Callable[..., Result], signal_file: Path
) -> None:
    task_id = bury(single, signal_file)
    asked = gridq("dead", "drop", "--all")
    assert asked.exit_code == 1 and "Forget 1 task for good?" in asked.output
    assert len(json.loads(gridq("dead", "list", "--json").stdout)) == 1
    assert gridq("dead", "drop", task_id, "--yes").output == f"{task_id} dropped\n"
    assert single.record(task_id).state == "dropped"
    assert json.loads(gridq("dead", "list", "--json").stdout) == []
    assert json.loads(gridq("dead", "retry", "--all", "--json").stdout) == []
    again = gridq("dead", "retry", task_id)
    assert again.exit_code == 1 and "hint: gridq dead list" in again.stderr


def test_what_is_meant_must_be_said(single: Fleet, gridq: Callable[..., Result]) -> None:
    assert "got neither" in gridq("dead", "drop").stderr
    assert "got both" in gridq("dead", "retry", "x", "--all").stderr


def test_a_dead_letter_whose_needs_nobody_can_read_is_shown_all_the_same(
    single: Fleet, gridq: Callable[..., Result]
) -> None:
    message = single.app.amqp.as_task_v2("foreign", "shop.work", args=(), kwargs={})
    headers = message.headers | {"gridq": {"gpu": 7}}
    with single.app.connection_for_write() as connection, connection.Producer() as producer:
        producer.publish(
            message.body,
            routing_key="gpu.8g",
            headers=headers,
            serializer="json",
            task_id="foreign",
            **message.properties,
        )
    single.await_state("foreign", "dead")
    for command in ("explain", "show"):
        said = gridq(command, "foreign")
        assert said.exit_code == 0 and "not to be read: {'gpu': 7}" in said.output
    assert gridq("dead", "drop", "foreign", "--yes").exit_code == 0


TASKS = """
import json, os, subprocess
from pathlib import Path
from gridq import app

@app.task(gpu=True, vram="8GiB")
def raise_family(folder):
    if list(Path(folder).glob("*.pids")):
        return "second"
    child = subprocess.Popen(["sleep", "60"])
    file = Path(folder, "first.new")
    file.write_text(json.dumps([os.getpid(), child.pid]))
    file.rename(Path(folder, "first.pids"))
    child.wait()
"""


def test_a_worker_killed_under_up_comes_back_and_takes_its_task_back_before_its_lease_has_ended(
    terminal: Terminal, tmp_path: Path
) -> None:
    (terminal.home / "mytasks.py").write_text(TASKS)
    terminal.environment = {**terminal.environment, "GRIDQ_LEASE": "60s"}
    up = terminal.start("up", "--gpus", "sim:24GiB", "--cpu", "0")
    read_until(up, "ready:")
    call = f"raise_family.delay({str(tmp_path)!r})"
    task_id = terminal.run("-c", f"import mytasks; print(mytasks.{call}.id)").stdout.strip()
    pids = family.await_family(tmp_path / "first.pids")
    worker = json.loads(terminal.gridq("status", "--json").stdout)["workers"][0]
    os.kill(worker["pid"], signal.SIGKILL)
    eventually(lambda: family.living(pids) == [], "what the task had started ends with its worker", 2)
    read = f"from gridq import app; print(app.AsyncResult({task_id!r}).get(timeout=30))"
    assert terminal.run("-c", read).stdout.strip() == "second"
    explained = json.loads(terminal.gridq("explain", task_id, "--json").stdout)
    assert (explained["attempts"], explained["worker"]) == (2, worker["name"])
    assert "was lost and started again" in explained["reason"]
    up.send_signal(signal.SIGTERM)
    assert up.wait(20) == 0
    assert terminal.processes() == {}
