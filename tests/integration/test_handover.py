"""A task that a process has got and not begun when its worker stops, or the worker's connection breaks, runs once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from fleet import DEADLINE, NODE, Fleet, eventually
from producers import by_hand
from test_worker_ends import drop_connections

from gridq.store.claims import held_tasks

WORKER = f"gpu0@{NODE}"


@pytest.fixture
def fleet(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    """One idle worker of one slot."""
    fleet = new_fleet("sim:1x24GiB")
    with fleet.at_work(1):
        yield fleet


@contextmanager
def paused_child(fleet: Fleet) -> Iterator[int]:
    """The process that runs the worker's tasks stands still meanwhile."""
    pid = fleet.task("work").apply_async(queue=WORKER).get(timeout=DEADLINE)["pid"]
    fleet.await_idle()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def paused_worker(fleet: Fleet) -> Iterator[None]:
    """The worker's main process stands still meanwhile, and learns of all that happens at once."""
    pid = fleet.living()[WORKER].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def await_taken(fleet: Fleet, task_id: str) -> None:
    """The worker has the task in its hands, and has passed it to its pool."""
    inspect = fleet.app.control.inspect(destination=[WORKER], timeout=DEADLINE, limit=1)

    def is_taken() -> bool:
        return task_id in [task["id"] for task in (inspect.reserved() or {}).get(WORKER, ())]

    eventually(is_taken, "its worker has it")


def await_connected(fleet: Fleet) -> None:
    """The worker's main loop goes round, with a connection."""

    def answers() -> Any:
        # The test's own connections were dropped too.
        with suppress(redis.ConnectionError):
            return fleet.app.control.ping([WORKER], timeout=1.0, limit=1)

    eventually(answers, "it has a connection again")


def ran_once(fleet: Fleet, handle: Any) -> bool:
    """Whether the task has run once, which nobody counted as a loss, and nothing stays claimed."""
    assert handle.get(timeout=DEADLINE)["worker"] == WORKER
    record = fleet.await_state(handle.id, "done")
    eventually(lambda: fleet.store.command("EXISTS", f"gridq:claims:{WORKER}") == 0, "nothing stays claimed")
    return (len(fleet.ledger.runs([handle.id])), record.losses) == (1, 0)


def test_when_its_worker_stops(fleet: Fleet) -> None:
    with paused_child(fleet):
        handle = fleet.task("work").apply_async(queue=WORKER)
        await_taken(fleet, handle.id)
        node = fleet.node(WORKER)
        node.container.may_end = True
        node.kill("SIGTERM")
        eventually(lambda: fleet.living()[WORKER].shut, "it has let go of what it had not begun")
    assert ran_once(fleet, handle)
    assert node.container.wait() == 0, node.logs()


def test_when_the_connection_breaks(fleet: Fleet) -> None:
    with paused_child(fleet):
        handle = fleet.task("work").apply_async(queue=WORKER)
        await_taken(fleet, handle.id)
        drop_connections(fleet)
        await_connected(fleet)
    assert ran_once(fleet, handle)
    assert ran_once(fleet, fleet.task("work").apply_async(queue=WORKER))


def test_what_waits_for_its_rate_limit_goes_back_when_the_connection_breaks(fleet: Fleet) -> None:
    first, second = (fleet.task("work_seldom").apply_async(queue=WORKER) for _ in range(2))
    assert first.get(timeout=DEADLINE)
    eventually(lambda: held_tasks(fleet.store, WORKER) == [second.id], "its worker has the second")
    drop_connections(fleet)
    assert ran_once(fleet, second)


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_what_waits_for_its_rate_limit_goes_back_in_a_pool_without_children(
    new_fleet: Callable[..., Fleet], pool: str
) -> None:
    fleet = new_fleet("sim:1x24GiB")
    with fleet.at_work(1, "-P", pool):
        test_what_waits_for_its_rate_limit_goes_back_when_the_connection_breaks(fleet)


def test_what_goes_back_goes_back_to_a_server_that_has_lost_its_memory_too(fleet: Fleet) -> None:
    first, second = (fleet.task("work_seldom").apply_async(queue=WORKER) for _ in range(2))
    assert first.get(timeout=DEADLINE)
    eventually(lambda: held_tasks(fleet.store, WORKER) == [second.id], "its worker has the second")
    with paused_worker(fleet):
        fleet.store.redis.flushdb()
        drop_connections(fleet)
    assert ran_once(fleet, second)


def test_when_the_connection_breaks_and_its_process_dies(fleet: Fleet) -> None:
    with paused_child(fleet) as child:
        handle = fleet.task("work").apply_async(queue=WORKER)
        await_taken(fleet, handle.id)
        with paused_worker(fleet):
            os.kill(child, signal.SIGKILL)
            drop_connections(fleet)
    assert ran_once(fleet, handle)


def test_when_the_connection_breaks_and_its_process_dies_that_has_just_begun_it(
    fleet: Fleet, signal_file: Path
) -> None:
    with paused_child(fleet) as child:
        handle = fleet.task("wait_for").apply_async((str(signal_file),), queue=WORKER)
        await_taken(fleet, handle.id)
        with paused_worker(fleet):
            drop_connections(fleet)
            os.kill(child, signal.SIGCONT)
            eventually(lambda: fleet.ledger.runs([handle.id]), "it has begun")
            os.kill(child, signal.SIGKILL)
    eventually(lambda: len(fleet.ledger.runs([handle.id])) == 2, "it runs again")
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["worker"] == WORKER
    assert ran_once(fleet, fleet.task("work").apply_async(queue=WORKER))


def test_when_half_of_it_is_written_and_its_worker_stops(fleet: Fleet) -> None:
    with paused_child(fleet):
        handle = fleet.task("work").apply_async(queue=WORKER, headers={"ballast": "x" * 1_000_000})
        await_taken(fleet, handle.id)
        node = fleet.node(WORKER)
        node.container.may_end = True
        node.kill("SIGTERM")
        eventually(lambda: "Warm shutdown" in node.logs(), "it stops")
    assert ran_once(fleet, handle)
    assert node.container.wait() == 0, node.logs()


def test_when_the_connection_breaks_and_its_message_names_no_task_but_in_its_headers(fleet: Fleet) -> None:
    task_id, text = by_hand("shop.work", WORKER)
    message = json.loads(text)
    del message["properties"]["correlation_id"]
    with paused_child(fleet):
        fleet.store.command("LPUSH", WORKER, json.dumps(message))
        await_taken(fleet, task_id)
        drop_connections(fleet)
        await_connected(fleet)
    eventually(lambda: fleet.ledger.runs([task_id]), "it runs")
    assert ran_once(fleet, fleet.task("work").apply_async(queue=WORKER))
    assert len(fleet.ledger.runs([task_id])) == 1
