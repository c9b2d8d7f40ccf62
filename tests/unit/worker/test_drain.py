"""When a worker is drained, until when, and what is ended then."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from gridq.broker.holder import Held
from gridq.worker import drain as module
from gridq.worker.drain import Drain


class Holder:
    """Holds one task."""

    worker = "gpu0@node1"

    def __init__(self) -> None:
        self.running = {"c1": Held("t1", 0)}
        self.excuses: dict[str, str] = {}

    def excuse(self, claim: str, reason: str) -> None:
        self.excuses[claim] = reason


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module, "now", lambda: made.now)
    return made


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The groups that were killed; the task's child is 7, another child of the worker 8."""
    groups: list[int] = []
    monkeypatch.setattr(module, "children", lambda worker: [7, 8])
    monkeypatch.setattr(module, "kill_group", groups.append)
    monkeypatch.setitem(state.requests, "t1", SimpleNamespace(worker_pid=7))
    return groups


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
def gate() -> Any:
    return SimpleNamespace(shut=False)


@pytest.fixture
def drain(gate: Any, holder: Holder, clock: SimpleNamespace) -> Drain:
    return Drain(gate, holder)  # type: ignore[arg-type]


def test_the_gate_is_shut_while_redis_says_so_and_open_afterwards(drain: Drain, gate: Any) -> None:
    assert not drain.learn(None)
    assert drain.learn(math.inf) and gate.shut
    assert not drain.learn(5.0) and gate.shut
    assert drain.learn(None) and not gate.shut


def test_a_worker_that_stops_stays_shut_whatever_redis_says(drain: Drain, gate: Any) -> None:
    drain.stop(60)
    assert not drain.learn(math.inf)
    assert not drain.learn(None) and gate.shut


def test_without_a_deadline_nothing_is_ended(drain: Drain, clock: SimpleNamespace, killed: list[int]) -> None:
    drain.learn(math.inf)
    clock.now += 1e6
    drain.enforce()
    assert killed == [] and drain.pause == math.inf


def test_at_the_deadline_the_child_that_runs_the_task_is_killed_and_no_other(
    drain: Drain, holder: Holder, clock: SimpleNamespace, killed: list[int]
) -> None:
    drain.learn(5.0)
    assert drain.pause == 5.0
    drain.enforce()
    assert killed == []
    clock.now += 5.0
    drain.enforce()
    assert killed == [7]
    assert holder.excuses == {"c1": "gpu0@node1 was drained, and it had not ended in time"}


def test_the_grace_counts_from_the_first_request_to_stop(
    drain: Drain, holder: Holder, clock: SimpleNamespace, killed: list[int]
) -> None:
    drain.learn(60.0)
    drain.stop(5.0)
    clock.now += 4.0
    drain.stop(5.0)
    assert drain.pause == 1.0
    clock.now += 1.0
    drain.enforce()
    assert killed == [7] and "was stopped" in holder.excuses["c1"]


def test_a_task_that_no_child_has_begun_is_ended_at_a_later_try(
    drain: Drain, clock: SimpleNamespace, killed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    drain.learn(0.0)
    monkeypatch.setitem(state.requests, "t1", SimpleNamespace(worker_pid=None))
    drain.enforce()
    assert killed == [] and drain.pause < 1
    monkeypatch.setitem(state.requests, "t1", SimpleNamespace(worker_pid=8))
    drain.enforce()
    assert killed == [8]


def test_who_holds_nothing_has_nothing_to_end(drain: Drain, holder: Holder, killed: list[int]) -> None:
    holder.running.clear()
    drain.learn(0.0)
    drain.enforce()
    assert killed == [] and drain.pause == math.inf
