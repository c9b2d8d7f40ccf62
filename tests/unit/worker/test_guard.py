"""What a guard sees as its worker's children, and when it acts on the end of a lease."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from gridq.worker import guard
from gridq.worker.deadline import SharedEnd, now
from gridq.worker.guard import Watched, look


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def killed(child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What would have been killed, of the one child that is this test's: other tests' children may live beside it."""
    groups: list[int] = []
    found = guard.children
    monkeypatch.setattr(guard, "children", lambda worker: [pid for pid in found(worker) if pid == child.pid])
    monkeypatch.setattr(guard, "kill_group", groups.append)
    return groups


def test_before_the_first_lease_it_ends_nothing(child: subprocess.Popen[bytes], killed: list[int]) -> None:
    watched = Watched(os.getpid(), SharedEnd(), 2.0, whole=False)
    look(watched)
    assert child.pid in watched.groups
    assert killed == []


def test_at_the_end_of_each_lease_it_ends_the_children_once(child: subprocess.Popen[bytes], killed: list[int]) -> None:
    end = SharedEnd()
    watched = Watched(os.getpid(), end, 2.0, whole=False)
    for _ in range(2):
        end.ends = now() + 60
        look(watched)
        assert killed == []
        end.ends = now() + 1
        look(watched)
        look(watched)
        assert killed == [child.pid]
        killed.clear()


def test_a_lease_that_was_lost_ends_the_children(child: subprocess.Popen[bytes], killed: list[int]) -> None:
    end = SharedEnd()
    watched = Watched(os.getpid(), end, 2.0, whole=False)
    end.ends = now() + 60
    look(watched)
    end.ends = 0.0
    look(watched)
    assert killed == [child.pid]


def test_it_does_not_take_itself_for_a_child_that_runs_tasks(
    child: subprocess.Popen[bytes], killed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process leads a group of its own, as theirs do."""
    end = SharedEnd()
    end.ends = now() + 1
    monkeypatch.setattr(guard, "children", lambda worker: [os.getpid(), child.pid])
    look(Watched(os.getppid(), end, 2.0, whole=False))
    assert killed == [child.pid]
