"""A worker that stops while Redis is frozen tells the end of its last task before it gives its lease back."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import NODE, Fleet, eventually

from gridq.broker.server import LocalServer
from tests.conftest import Database

WORKER = f"gpu0@{NODE}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    """A server of its own, since it is frozen."""
    with LocalServer(tmp_path / "server") as server:
        yield server


@pytest.fixture
def fleet(server: LocalServer, tmp_path: Path) -> Iterator[Fleet]:
    """One worker, which finds out after 4 s that Redis does not answer, and has a lease for twice as long."""
    database = Database.of(server.url.rpartition("/")[0], deque([0]))
    fleet = Fleet(database, tmp_path, "sim:1x24GiB", lease="8s", heartbeat="1.6s", cpu_weight="0")
    with fleet.at_work(1):
        yield fleet


def test_the_end_of_a_task_is_told_when_redis_answers_again(
    fleet: Fleet, server: LocalServer, signal_file: Path
) -> None:
    # Without a result, since its child would wait for Redis and would not end.
    handle = fleet.task("wait_for").apply_async((str(signal_file),), ignore_result=True)
    eventually(lambda: fleet.ledger.runs([handle.id]), "it has begun")
    node = fleet.node(WORKER)
    node.container.may_end = True
    node.container.popen.terminate()
    eventually(lambda: fleet.living()[WORKER].shut, "it says that it stops")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        signal_file.touch()
        for words in ("is told to Redis once it answers", f"heartbeat of {WORKER} did not reach Redis"):
            eventually(lambda words=words: words in node.container.logs(), words)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert node.container.wait() == 0, node.logs()
    record = fleet.record(handle.id)
    assert (record.state, record.requeues) == ("done", 0), node.logs()
    assert fleet.waiting() == {}
