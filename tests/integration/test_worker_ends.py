"""Workers that stop, die, come back, and lose their connection: every task runs, once while its worker lives."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from fleet import DEADLINE, NODE, Fleet, eventually

FIRST, SECOND = f"gpu0@{NODE}", f"gpu1@{NODE}"
NORMAL = "\x06\x163"


@pytest.fixture(scope="module")
def _pair(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    fleet = new_fleet("sim:2x24GiB", cpu_weight="0")
    with fleet.at_work(2):
        yield fleet


@pytest.fixture
def pair(_pair: Fleet) -> Iterator[Fleet]:
    """Two idle workers of 24 GiB; whichever a test has ended is started again."""
    for node in _pair.nodes:
        if node.container.status != "running":
            node.container.may_end = False
            node.container.restart()
    _pair.await_idle()
    return _pair


def drop_connections(fleet: Fleet) -> int:
    """Let the server drop every connection to the fleet's databases, the test's own too; returns how many."""
    databases = {str(fleet.database.number), str(fleet.database.number + 1)}
    with redis.Redis.from_url(f"{fleet.database.server}/127") as admin:
        listed = [client for client in admin.client_list() if client["db"] in databases]
        return sum(admin.client_kill_filter(_id=client["id"]) for client in listed)


def test_a_worker_told_to_stop_finishes_its_task_and_hands_on_what_it_has_not_begun(
    pair: Fleet, tmp_path: Path
) -> None:
    signals = [tmp_path / "first", tmp_path / "second"]
    wait_for = pair.task("wait_for")
    running = [
        wait_for.apply_async((str(path),), queue=queue) for path, queue in zip(signals, (FIRST, SECOND), strict=True)
    ]
    for handle in running:
        pair.await_state(handle.id, "running")
    placed = pair.task("work").apply_async(vram="8GiB")
    # As if it had been placed on the first worker a moment before that one became busy.
    assert pair.store.redis.lmove(f"gpu.8g{NORMAL}", f"{FIRST}{NORMAL}", "RIGHT", "LEFT")
    node = pair.node(FIRST)
    node.container.may_end = True
    node.kill("SIGTERM")
    eventually(lambda: pair.store.command("LLEN", f"gpu.8g{NORMAL}"), "what was placed is in the shared queue again")
    assert pair.record(placed.id).queue == "gpu.8g"
    signals[1].touch()
    assert placed.get(timeout=DEADLINE)["worker"] == SECOND
    assert node.container.status == "running"
    signals[0].touch()
    assert [where["worker"] for where in pair.results(running)] == [FIRST, SECOND]
    assert node.container.wait() == 0, node.logs()
    assert FIRST not in pair.living()
    assert all(len(pair.ledger.runs([handle.id])) == 1 for handle in (*running, placed))
    assert pair.store.command("EXISTS", f"gridq:claims:{FIRST}") == 0


def test_a_killed_worker_that_starts_again_takes_its_tasks_back(pair: Fleet, signal_file: Path) -> None:
    handle = pair.task("wait_for").apply_async((str(signal_file),), queue=FIRST, vram="8GiB")
    pair.await_state(handle.id, "running")
    eventually(lambda: pair.ledger.runs([handle.id]), "it has begun")
    pair.node(FIRST).container.kill_all()
    assert pair.store.command("HLEN", f"gridq:claims:{FIRST}") == 1
    node = next(node for node in pair.nodes if node.worker_name == FIRST)
    node.container.is_ready = lambda: True  # It is busy at once.
    node.restart()
    eventually(lambda: len(pair.ledger.runs([handle.id])) == 2, f"it runs again\n{pair.last_words()}")
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["worker"] == FIRST
    node.container.is_ready = lambda: pair.await_node(node)
    first, second = pair.ledger.runs([handle.id])
    assert first.end is None and second.end is not None
    assert pair.await_state(handle.id, "done").attempts == 2


def test_a_dropped_connection_neither_ends_nor_repeats_what_runs(pair: Fleet, signal_file: Path) -> None:
    handle = pair.task("wait_for").apply_async((str(signal_file),), queue=FIRST, vram="8GiB")
    pair.await_state(handle.id, "running")
    eventually(lambda: pair.ledger.runs([handle.id]), "it has begun")
    assert drop_connections(pair) > 4
    # Both workers look for tasks again, on new connections; the first one holds what it held.
    again = pair.task("work").apply_async(queue=SECOND)
    assert again.get(timeout=DEADLINE)["worker"] == SECOND
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["worker"] == FIRST
    assert pair.task("work").apply_async(queue=FIRST).get(timeout=DEADLINE)["worker"] == FIRST
    assert len(pair.ledger.runs([handle.id])) == 1
    assert pair.await_state(handle.id, "done").attempts == 1
    eventually(lambda: pair.store.command("EXISTS", f"gridq:claims:{FIRST}") == 0, "nothing stays claimed")


def test_a_task_that_ends_while_the_connection_is_away_is_acked_on_the_next_one(pair: Fleet, signal_file: Path) -> None:
    handle = pair.task("wait_for").apply_async((str(signal_file),), queue=FIRST, vram="8GiB")
    pair.await_state(handle.id, "running")
    eventually(lambda: pair.ledger.runs([handle.id]), "it has begun")
    signal_file.touch()
    for _ in range(5):
        drop_connections(pair)
    assert pair.await_state(handle.id, "done").attempts == 1
    assert len(pair.ledger.runs([handle.id])) == 1
    pair.await_idle()


def test_a_server_that_forgot_its_scripts_is_told_them_again(pair: Fleet) -> None:
    pair.store.redis.script_flush()
    found = pair.results([pair.task("work").apply_async(vram="8GiB", countdown=delay) for delay in (0, 0, 0.1)])
    assert len(found) == 3
    pair.store.redis.script_flush()
    assert pair.task("work").apply_async(queue=SECOND).get(timeout=DEADLINE)["worker"] == SECOND


def test_a_task_whose_process_is_killed_runs_again_at_once(pair: Fleet, signal_file: Path) -> None:
    handle = pair.task("wait_for").apply_async((str(signal_file),), queue=FIRST)
    run = eventually(lambda: pair.ledger.runs([handle.id]), "it has begun")[0]
    os.kill(run.pid, signal.SIGKILL)
    eventually(lambda: len(pair.ledger.runs([handle.id])) == 2, "it has begun again")
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["worker"] == FIRST
    record = pair.await_state(handle.id, "done")
    assert (record.attempts, record.worker) == (2, FIRST)
