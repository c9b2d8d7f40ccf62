"""A GPU that is silent or sick takes no work, says why, and comes back by itself."""

from __future__ import annotations

import time
from pathlib import Path

from fleet import DEADLINE, NODE, Fleet, eventually

from gridq.gpu.health import State


def state_of(grid: Fleet, name: str) -> State:
    return grid.living()[name].gpus[0].verdict.state


def test_a_probe_that_hangs_makes_its_gpu_unknown_until_it_answers_again(grid: Fleet) -> None:
    name, device = f"gpu3@{NODE}", grid.devices[3]
    began = time.monotonic()
    grid.sim.set(device.uuid, hang=True)
    eventually(lambda: state_of(grid, name) == State.UNKNOWN, "the verdict is unknown")
    # Two seconds without a reading, and half a second at most until the next heartbeat says so.
    assert time.monotonic() - began < 8.0
    assert "no reading for" in grid.living()[name].gpus[0].verdict.reasons[0]

    # What only this GPU fits waits; what others fit runs there.
    only_there = grid.task("work").apply_async(vram="70GiB")
    pinned = grid.task("work").apply_async(queue=name)
    found = grid.results([grid.task("work").apply_async(vram="8GiB") for _ in range(12)])
    assert device.uuid not in {where["gpu"] for where in found}
    waiting = grid.record(only_there.id)
    assert (waiting.state, waiting.queue, grid.record(pinned.id).state) == ("waiting", "gpu.80g", "waiting")
    assert [reason for reason in waiting.placement["rejected"] if reason.startswith("is unknown: no reading")]

    grid.sim.reset(device.uuid)
    assert [where["gpu"] for where in grid.results([only_there, pinned])] == [device.uuid] * 2
    eventually(lambda: state_of(grid, name) == State.HEALTHY, "the verdict is healthy")


def test_a_hot_gpu_takes_no_work_until_it_has_cooled(grid: Fleet) -> None:
    name, device = f"gpu2@{NODE}", grid.devices[2]
    grid.sim.set(device.uuid, temperature=95)
    eventually(lambda: state_of(grid, name) == State.UNHEALTHY, "the verdict is unhealthy")
    handle = grid.task("work").apply_async(models=["48GiB"])
    where = grid.task("work").apply_async(vram="40GiB").get(timeout=DEADLINE)
    assert where["gpu"] == grid.devices[3].uuid
    assert grid.record(handle.id).state == "waiting"
    grid.sim.reset(device.uuid)
    assert handle.get(timeout=DEADLINE)["gpu"] == device.uuid


def test_a_task_runs_on_though_its_gpu_falls_silent(grid: Fleet, signal_file: Path) -> None:
    device = grid.devices[3]
    handle = grid.task("wait_for").apply_async((str(signal_file),), vram="70GiB")
    grid.await_state(handle.id, "running")
    grid.sim.set(device.uuid, hang=True)
    eventually(lambda: state_of(grid, f"gpu3@{NODE}") == State.UNKNOWN, "the verdict is unknown")
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["gpu"] == device.uuid
    assert len(grid.ledger.runs([handle.id])) == 1
