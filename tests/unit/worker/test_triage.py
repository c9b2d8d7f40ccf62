"""What a worker does when its GPU falls ill: whose processes it ends, which it replaces, and what it notes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from gridq.broker.holder import Held, Holder, Keeping
from gridq.gpu.course import Finding
from gridq.gpu.health import State, Verdict
from gridq.gpu.xid import XidEvent
from gridq.worker import triage
from gridq.worker.stale import Stale
from gridq.worker.tally import Tally
from gridq.worker.triage import Round
from gridq.worker.witness import LATE, Presence, concerned

HEALTHY = Finding(Verdict(State.HEALTHY))
GONE = Finding(Verdict(State.UNHEALTHY, ("lost",)), kill="lost: the card has fallen off the bus")
STALE = Finding(Verdict(State.HEALTHY), recycle=True)


class Child:
    """A process that leads a group of its own, as the pool's children do."""

    def __init__(self) -> None:
        self.popen = subprocess.Popen(["sleep", "60"], start_new_session=True)
        self.pid = self.popen.pid

    def ended(self) -> bool:
        try:
            return self.popen.wait(0.05) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False


class Ward:
    def __init__(self) -> None:
        self.finding = HEALTHY
        self.idle: bool | None = None

    def tick(self, *, idle: bool) -> dict[str, Finding]:
        self.idle = idle
        return {"GPU-0": self.finding}


class Witness:
    def __init__(self) -> None:
        self.notes: list[tuple[int, list[Presence]]] = []

    def note(self, gpu: str, event: XidEvent, presences: list[Presence]) -> None:
        self.notes.append((event.number, presences))


class Bench:
    """A worker with two slots."""

    def __init__(self) -> None:
        self.holder = Holder("gpu0@node1", lambda queues, slots: None, lambda payload: None, Keeping(60, 3))
        self.ward, self.witness, self.tally, self.stale = Ward(), Witness(), Tally(), Stale(None)
        self.children = [Child(), Child()]
        pool = SimpleNamespace(info={"processes": [child.pid for child in self.children]})
        self.round = Round(self.ward, self.holder, self.witness, pool, self.tally, self.stale)  # type: ignore[arg-type]

    def hold(self, task: str, child: Child | None, queue: str = "gpu.8g") -> None:
        self.holder.held[f"claim of {task}"] = Held(task, 0, queue)
        if child is not None:
            self.holder.began(f"claim of {task}", child.pid)

    def look(self, finding: Finding) -> None:
        self.ward.finding = finding
        self.round.run_once()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for child in made.children:
        child.popen.kill()
        child.popen.wait()


def test_nothing_ends_while_the_gpu_is_well_and_canaries_wait_for_tasks(bench: Bench) -> None:
    bench.look(HEALTHY)
    assert bench.ward.idle is True
    bench.hold("a", bench.children[0])
    bench.look(HEALTHY)
    assert bench.ward.idle is False
    assert not any(child.ended() for child in bench.children)


def test_on_a_gpu_that_is_gone_tasks_end_uncharged_and_idle_children_stay(bench: Bench) -> None:
    busy, idle = bench.children
    bench.hold("a", busy)
    bench.look(GONE)
    assert busy.ended() and not idle.ended()
    assert bench.holder.excused.keys() == {"claim of a"}


def test_a_cpu_task_of_a_worker_of_both_kinds_has_nothing_to_do_with_the_gpu(bench: Bench) -> None:
    bench.hold("a", bench.children[0], queue="cpu")
    bench.look(replace(GONE, events=(XidEvent(79, 1, time.monotonic()),)))
    assert bench.ward.idle is True
    assert not bench.children[0].ended() and bench.holder.excused == {}
    assert bench.witness.notes == [(79, [])]
    assert bench.tally.xids("GPU-0") == {"79": 1}
    bench.hold("b", bench.children[1], queue="gpu0@node1")
    bench.look(GONE)
    assert bench.children[1].ended() and not bench.children[0].ended()


def test_a_task_that_its_child_begins_a_moment_later_is_ended_then(bench: Bench) -> None:
    bench.hold("a", None)
    bench.look(GONE)
    assert not any(child.ended() for child in bench.children)
    bench.hold("a", bench.children[0])
    bench.look(GONE)
    assert bench.children[0].ended()


def test_no_process_but_a_child_is_ever_ended(bench: Bench) -> None:
    stranger = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, process_group=0)
    assert stranger.stdout is not None
    grandchild = int(stranger.stdout.readline())
    bench.hold("a", SimpleNamespace(pid=grandchild))  # type: ignore[arg-type]
    bench.look(GONE)
    assert stranger.poll() is None and bench.holder.excused == {}
    os.killpg(stranger.pid, signal.SIGKILL)
    stranger.communicate()


def test_a_task_whose_process_cannot_be_killed_runs_elsewhere_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[tuple[str, str]] = []
    monkeypatch.setattr(bench.holder, "lose", lambda claim, reason: lost.append((claim, reason)))
    monkeypatch.setattr(triage, "kill_group", lambda pid: None)
    bench.hold("a", bench.children[0])
    bench.look(GONE)
    assert lost == []
    later = triage.now() + triage.STUCK + 1
    monkeypatch.setattr(triage, "now", lambda: later)
    bench.look(GONE)
    assert lost == [("claim of a", f"its GPU failed on gpu0@node1: {GONE.kill}")]


def test_stale_children_are_replaced_each_when_it_runs_nothing(bench: Bench) -> None:
    busy, idle = bench.children
    bench.hold("a", busy)
    bench.look(STALE)
    assert idle.ended() and not busy.ended()
    bench.look(HEALTHY)
    assert not busy.ended() and bench.holder.excused == {}
    bench.holder.held.clear()
    bench.look(HEALTHY)
    assert busy.ended()
    assert all(bench.stale.excuse(child.pid) for child in (busy, idle))


def test_no_child_is_replaced_while_a_task_looks_for_one(bench: Bench) -> None:
    bench.hold("a", None)
    bench.look(STALE)
    assert not any(child.ended() for child in bench.children)
    bench.hold("a", bench.children[0])
    bench.look(HEALTHY)
    assert bench.children[1].ended() and not bench.children[0].ended()


def test_an_xid_is_told_with_who_is_there_and_who_has_just_left(bench: Bench) -> None:
    bench.hold("a", bench.children[0])
    bench.look(HEALTHY)
    bench.holder.drop("claim of a")
    bench.hold("b", bench.children[1])
    bench.look(Finding(HEALTHY.verdict, events=(XidEvent(31, 1, time.monotonic()),)))
    [(number, presences)] = bench.witness.notes
    assert number == 31
    assert [(task.task, task.pid, task.gone is None) for task in presences] == [
        ("b", bench.children[1].pid, True),
        ("a", bench.children[0].pid, False),
    ]
    # By the clock of XIDs, not by that of claims.
    assert all(abs(task.came - time.monotonic()) < 5 for task in presences)


# -- who was there


def test_those_were_there_who_had_come_and_not_left_long_ago() -> None:
    event = XidEvent(31, 1, at=100.0)
    there = [Presence("running", 90.0), Presence("ended", 50.0, 99.0), Presence("ended long ago", 50.0, 100 - LATE - 1)]
    assert concerned(event, [*there, Presence("not begun", 101.0)]) == ["running", "ended"]


def test_a_task_that_came_back_to_the_gpu_was_there_once() -> None:
    assert concerned(XidEvent(31, 1, at=100.0), [Presence("again", 99.0), Presence("again", 90.0, 99.0)]) == ["again"]


def test_an_xid_that_names_a_process_concerns_its_task_alone() -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    there = [Presence("a", 90.0, pid=child.pid), Presence("b", 90.0, pid=4_000_000)]
    try:
        for pid in (child.pid, grandchild):
            assert concerned(XidEvent(31, 1, 100.0, pid), there) == ["a"]
        assert concerned(XidEvent(31, 1, 100.0, pid=1), there) == ["a", "b"]
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
