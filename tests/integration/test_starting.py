"""Starting workers: each takes a GPU of its own, and says so when there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fleet import Fleet

from gridq.errors import UnmetNeedWarning
from gridq.gpu import open_probe

UNAVAILABLE = 69
WITHOUT_BROKER = {"GRIDQ_BROKER_URL": "", "GRIDQ_RESULT_BACKEND": ""}


def test_one_worker_too_many_says_that_none_is_free_and_who_has_them(grid: Fleet) -> None:
    extra = grid.run("extra", "-m", "celery", "-A", "shop", "worker", "-Q", "gpu")
    assert extra.wait() == UNAVAILABLE, extra.logs()
    said = extra.logs()
    assert "error: expected 1 free GPU, but of 4 none can be taken" in said
    for status in grid.living().values():
        if status.gpus:
            assert f"pid {status.pid} ({status.name})" in said
    assert "hint: stop the worker that holds it, or start a CPU worker with `-Q cpu`" in said
    assert "Traceback" not in said


def test_a_machine_without_a_gpu_is_told_what_to_do(grid: Fleet, tmp_path: Path) -> None:
    if open_probe("auto", tmp_path).devices():
        pytest.skip("this machine has a GPU")
    none = grid.run("none", "-m", "celery", "-A", "shop", "worker", "-Q", "gpu", GRIDQ_GPUS="auto")
    assert none.wait() == UNAVAILABLE, none.logs()
    assert "error: expected a GPU, but this machine has none" in none.logs()
    assert "hint: simulate some with `--probe sim:2x24GiB`" in none.logs() and "-Q cpu" in none.logs()


@pytest.mark.parametrize("queue", ["cpu", "gpu"])
def test_without_a_broker_a_worker_says_so_at_once(grid: Fleet, queue: str) -> None:
    lost = grid.run("lost", "-m", "celery", "-A", "shop", "worker", "-Q", queue, **WITHOUT_BROKER)
    assert lost.wait() == UNAVAILABLE, lost.logs()
    assert "error: expected a broker, none is configured and no local one runs" in lost.logs()
    assert "hint: start one with `gridq up`" in lost.logs() and "Traceback" not in lost.logs()


def test_without_a_broker_a_caller_is_told_at_once(grid: Fleet) -> None:
    caller = grid.run("caller", "-c", "import shop; shop.app.tasks['shop.work'].delay()", **WITHOUT_BROKER)
    assert caller.wait() == 1
    assert "BrokerError: expected a broker, none is configured and no local one runs" in caller.logs()


def test_a_task_of_a_class_that_gridq_does_not_know_is_refused(grid: Fleet) -> None:
    other = grid.run("other", "-m", "celery", "-A", "shop", "worker", "-Q", "cpu", "-I", "othertasks")
    assert other.wait() == UNAVAILABLE, other.logs()
    assert "error: expected tasks whose class is a gridq.GpuTask, got shop.other" in other.logs()
    assert "hint: where it says base=" in other.logs() and "Traceback" not in other.logs()


def test_each_worker_pins_its_children_to_its_gpu_and_consumes_what_fits(grid: Fleet) -> None:
    for name, status in grid.living().items():
        if not status.gpus:
            assert set(status.queues) == {"cpu", name, f"cpu@{status.node}"} and status.free is None
            continue
        device = status.gpus[0].device
        assert name == f"gpu{device.index}@{status.node}"
        assert {name, "gpu", "gpu.24g", "gpu.1g"} <= set(status.queues)
        assert ("gpu.80g" in status.queues) == (device.index == 3)
        assert (status.slots, status.free) == (1, device.memory_total)


def test_a_worker_that_asks_for_two_gpus_runs_tasks_that_need_two(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet("sim:3x24GiB")
    try:
        fleet.start_worker("gpu0-1@node1", "gpu", "--gpus", "2", "-P", "solo")
        where = fleet.task("work").apply_async(gpus=2, vram="20GiB").get(timeout=30)
        assert where["gpu"] == ",".join(device.uuid for device in fleet.devices[:2])
        assert where["worker"] == "gpu0-1@node1"
        assert "gpu" not in fleet.living()["gpu0-1@node1"].queues
        with pytest.warns(UnmetNeedWarning, match="asks for gpu"):
            single = fleet.task("work").apply_async(gpu=True)
        fleet.task("work").apply_async(gpus=2).get(timeout=30)
        assert fleet.record(single.id).state == "waiting"
        fleet.start_worker("gpu2@node1", "gpu")
        assert single.get(timeout=30)["worker"] == "gpu2@node1"
    finally:
        fleet.stop()
