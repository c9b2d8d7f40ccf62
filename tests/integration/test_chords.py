"""What dies after it has stored its result does not run again, and what Celery had still to do of it is done."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, states
from celery.app.task import Context
from fleet import DEADLINE, NODE, Fleet, eventually

from gridq.broker.posting import decoded_body

WORKER = f"gpu0@{NODE}"


@pytest.fixture(scope="module")
def _single(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    fleet = new_fleet("sim:1x24GiB", cpu_weight="0")
    with fleet.at_work(1):
        yield fleet


def restart(fleet: Fleet) -> None:
    """The fleet's worker dies, and starts again at once."""
    node = fleet.nodes[0]
    node.container.kill_all()
    node.container.is_ready = lambda: True  # It is busy at once.
    node.restart()


@dataclass
class Half:
    """A chord of two tasks: one has been counted; the other has stored its result, 5, and has not ended.

    Attributes:
        fleet: its worker.
        body: what the chord comes to.
        stored: the id of the other task.
    """

    fleet: Fleet
    body: Any
    stored: str

    def kill_worker(self) -> None:
        """The worker dies, and starts again at once."""
        restart(self.fleet)

    def kill_child(self) -> None:
        """The process of the task dies."""
        os.kill(self.fleet.ledger.runs([self.stored])[0].pid, signal.SIGKILL)

    def claim_body(self, seconds: int) -> None:
        """As if a worker had died in the moment in which it was going to send the body."""
        backend = self.fleet.app.backend
        backend.client.set(backend.get_key_for_group(self.body.parent.id, ".c"), "a dead worker's", ex=seconds)

    def request(self) -> Context:
        """The other task as its worker has it."""
        message = json.loads(self.fleet.record(self.stored).message)
        headers, embedded = message["headers"], json.loads(decoded_body(message))[2]
        return Context(headers, chord=embedded["chord"])


def test_what_follows_a_task_whose_result_is_stored_is_not_sent_again(_single: Fleet, signal_file: Path) -> None:
    fleet = _single
    follower = chain(fleet.task("wait_for").s(str(signal_file)), fleet.task("scale").s()).apply_async()
    task = follower.parent.id
    eventually(lambda: fleet.ledger.runs([task]), "it has begun")
    # Celery has sent what follows by then; here it has not, so that it is seen whether anybody does.
    fleet.app.backend.store_result(task, 5, states.SUCCESS)
    restart(fleet)
    fleet.await_state(task, "done")
    fleet.await_idle()
    assert len(fleet.ledger.runs([task])) == 1 and fleet.record(follower.id) is None


@pytest.mark.parametrize("stored", [b"\x93garbage", b"[1]"], ids=["no text", "a list"])
def test_a_task_whose_stored_result_nobody_can_read_runs_again(
    _single: Fleet, signal_file: Path, stored: bytes
) -> None:
    fleet = _single
    handle = fleet.task("wait_for").delay(str(signal_file))
    eventually(lambda: fleet.ledger.runs([handle.id]), "it has begun")
    backend = fleet.app.backend
    backend.client.set(backend.get_key_for_task(handle.id), stored)
    restart(fleet)
    signal_file.touch()
    fleet.await_state(handle.id, "done")
    assert len(fleet.ledger.runs([handle.id])) == 2


@pytest.fixture(params=[False, True], ids=["task", "chain"])
def half(_single: Fleet, signal_file: Path, request: pytest.FixtureRequest) -> Half:
    fleet, scale, wait_for = _single, _single.task("scale"), _single.task("wait_for")
    total = fleet.task("total").s()
    end = chain(total, scale.s(1)) if request.param else total
    body = chord([scale.s(1), wait_for.s(str(signal_file))], end).apply_async()
    counted, stored = (part.id for part in body.parent.results)
    fleet.await_state(counted, "done")
    eventually(lambda: fleet.ledger.runs([stored]), "the other has begun")
    fleet.app.backend.store_result(stored, 5, states.SUCCESS)
    return Half(fleet, body, stored)


def ends_once(half: Half) -> None:
    """The chord has all its parts, and neither the task whose result is there nor the body runs twice."""
    assert half.body.get(timeout=DEADLINE) == 7
    half.fleet.await_state(half.stored, "done")
    half.fleet.await_idle()
    assert [len(half.fleet.ledger.runs([task])) for task in (half.stored, half.body.id)] == [1, 1]


@pytest.mark.parametrize("dies", [Half.kill_worker, Half.kill_child], ids=["worker", "child"])
def test_a_part_whose_result_is_stored_is_counted_when_what_ran_it_has_died(
    half: Half, dies: Callable[[Half], None]
) -> None:
    dies(half)
    ends_once(half)


def test_the_right_to_send_the_body_that_a_dead_worker_had_is_waited_for(half: Half) -> None:
    half.claim_body(seconds=8)
    half.kill_worker()
    ends_once(half)


def test_a_body_that_was_sent_before_its_sender_died_is_not_sent_again(
    half: Half, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if a worker had died in the moment in which it had sent the body.
    monkeypatch.setitem(vars(half.fleet.app.backend), "_chord_cleanup_script", lambda **_: 1)
    half.fleet.app.backend.on_chord_part_return(half.request(), states.SUCCESS, 5)
    first = half.request().chord
    first = first["kwargs"].get("tasks", [first])[0]["options"]["task_id"]
    assert half.fleet.await_state(first, "waiting")
    half.kill_worker()
    ends_once(half)
