"""What CUDA does not allow costs nobody a task: to go on after some errors, and to be used before a fork."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fleet import DEADLINE, NODE, Fleet, eventually
from rigs import compile_fake_cuda

ILLEGAL_ADDRESS = 700
OUT_OF_MEMORY = 2
UNAVAILABLE = 69
WORKER = f"gpu3@{NODE}"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(compile_fake_cuda(tmp_path_factory.mktemp("cuda") / "lib"))


def process(grid: Fleet) -> int:
    """The process that runs the next task of the worker."""
    pid: int = grid.task("work").apply_async(queue=WORKER).get(timeout=DEADLINE)["pid"]
    return pid


@pytest.mark.parametrize("caught", [False, True], ids=["fails", "goes on"])
def test_tasks_that_wait_behind_it_run_in_another_process(grid: Fleet, library: str, caught: bool) -> None:
    before = process(grid)
    crash = grid.task("crash_cuda").apply_async((library, ILLEGAL_ADDRESS), {"caught": caught}, queue=WORKER)
    behind = [grid.task("work").apply_async(queue=WORKER) for _ in range(5)]
    pids = {where["pid"] for where in grid.results(behind)}
    assert before not in pids and len(pids) == 1
    assert grid.await_state(crash.id, "done" if caught else "failed").attempts == 1
    # Nothing of them had begun in the old process, and none of them is said to have lost one.
    assert [grid.record(task.id).losses for task in behind] == [0] * 5
    assert [len(grid.ledger.runs([task.id])) for task in behind] == [1] * 5


def test_a_task_that_breaks_it_and_whose_process_dies_of_that_is_buried(grid: Fleet, library: str) -> None:
    handle = grid.task("crash_cuda_and_abort").apply_async((library, ILLEGAL_ADDRESS), queue=WORKER)
    assert "CUDA stopped working" in grid.await_state(handle.id, "dead").reason
    assert len(grid.ledger.runs([handle.id])) == 3


def test_its_process_is_replaced_though_nothing_waits(grid: Fleet, library: str) -> None:
    before = process(grid)
    grid.task("crash_cuda").apply_async((library, ILLEGAL_ADDRESS), queue=WORKER)
    eventually(lambda: not Path(f"/proc/{before}").exists(), "the process, and the GPU memory that it held, are gone")
    assert process(grid) != before


def test_after_an_error_that_cuda_survives_the_process_stays(grid: Fleet, library: str) -> None:
    before = process(grid)
    crash = grid.task("crash_cuda").apply_async((library, OUT_OF_MEMORY), queue=WORKER)
    grid.await_state(crash.id, "failed")
    assert process(grid) == before


@pytest.mark.parametrize("again", [False, True], ids=["fails", "is put off"])
def test_the_main_process_imports_nothing_of_what_a_task_raised(grid: Fleet, again: bool) -> None:
    handle = grid.task("use_cupy").apply_async(kwargs={"again": again}, queue=WORKER)
    with pytest.raises(Exception, match="no such device") as caught:
        handle.get(timeout=DEADLINE)
    assert type(caught.value).__name__ == "LikeCupyError"
    assert grid.await_state(handle.id, "failed").reason == "LikeCupyError: no such device"
    importers = {int(note.suffix[1:]) for note in grid.ledger.path.parent.glob("likecupy.*")}
    assert importers and grid.living()[WORKER].pid not in importers


def test_a_module_may_ask_pytorch_for_gpus_at_its_top(new_fleet: Callable[..., Fleet], library: str) -> None:
    fleet = new_fleet("sim:1x24GiB")
    fleet.variables["SHOP_CUDA"] = library
    fleet.start_worker(f"gpu0@{NODE}", "gpu", "-I", "liketorch")
    assert fleet.task("work").delay().get(timeout=DEADLINE)["gpu"] == fleet.devices[0].uuid
    fleet.stop()


def test_a_worker_whose_main_process_uses_cuda_says_so_and_does_not_start(
    new_fleet: Callable[..., Fleet], library: str
) -> None:
    fleet = new_fleet("sim:1x24GiB")
    command = ("-m", "celery", "-A", "shop", "worker", "-Q", "gpu", "-I", "likecupy")
    early = fleet.run("early", *command, SHOP_CUDA=library)
    assert early.wait() == UNAVAILABLE, early.logs()
    said = early.logs()
    assert "error: expected a main process that has not begun to use CUDA" in said
    assert "hint: ask for the GPU inside the tasks" in said and "Traceback" not in said
