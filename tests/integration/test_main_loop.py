"""A worker whose main loop hangs holds nothing for long, however well its other threads are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fleet import DEADLINE, NODE, Fleet, eventually

from gridq.worker.guard import runs

FIRST, SECOND = (f"gpu{index}@{NODE}" for index in range(2))
LEASE = 2.0


@pytest.fixture(scope="module")
def pair(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    """Two workers with one GPU each."""
    fleet = new_fleet("sim:2x24GiB", lease=f"{LEASE:g}s", heartbeat="0.4s", cpu_weight="0")
    try:
        fleet.start_gpu_workers(2)
        fleet.learn_names()
        fleet.await_ready(FIRST, SECOND)
        yield fleet
    finally:
        fleet.stop()


def test_a_worker_whose_main_loop_hangs_loses_its_task_and_comes_back_when_it_goes_on(
    pair: Fleet, signal_file: Path, tmp_path: Path
) -> None:
    handle = pair.task("wait_for").apply_async((str(signal_file),), vram="8GiB")
    first = pair.await_state(handle.id, "running").worker
    other = SECOND if first == FIRST else FIRST
    free = tmp_path / "free"
    pair.app.control.broadcast("hang", {"until": str(free)}, destination=[first])
    try:
        eventually(lambda: pair.record(handle.id).worker == other, f"it runs on {other}", 15)
        assert first not in pair.living()
        assert "has hung for" in pair.node(first).container.logs()
        began = eventually(lambda: len(found := pair.ledger.runs([handle.id])) == 2 and found, "it began again")
        assert not runs(began[0].pid), "nobody may have seen its end, but it has ended"
    finally:
        free.touch()
    pair.await_ready(first)
    assert "goes on" in pair.node(first).container.logs()
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["worker"] == other


def test_a_worker_that_stops_keeps_its_lease_though_its_loop_has_ended(pair: Fleet, signal_file: Path) -> None:
    handle = pair.task("wait_for").apply_async((str(signal_file),), vram="8GiB")
    # Begun, not only claimed: what its pool has not begun when it is told to stop, another worker runs.
    worker = eventually(lambda: pair.ledger.runs([handle.id]), "it has begun")[0].worker
    node = pair.node(worker)
    node.container.may_end = True
    node.container.popen.terminate()
    said = len(node.container.logs())
    eventually(lambda: pair.living()[worker].shut, "it says that it stops")
    # Longer than its lease, and than its loop may be silent while it is meant to turn.
    end = time.monotonic() + 1.7 * LEASE
    while time.monotonic() < end:
        assert worker in pair.living()
        time.sleep(0.05)
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["worker"] == worker
    assert "has hung for" not in node.container.logs()[said:]
