"""What the promises say of many tasks at once, counted from what the tasks wrote themselves."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from fleet import Fleet
from ledger import Run

from gridq.units import GIB

SIZES = (8, 20, 8, 40, 20, 8, 70, 20, 8, 40)


def idle_gaps(runs: list[Run], published: dict[str, float], memory: dict[str, int]) -> list[float]:
    """Seconds during which a GPU ran nothing although a task that fits it was published and not started, gap by gap."""
    gaps = []
    for gpu, room in memory.items():
        mine = sorted((run for run in runs if run.gpu == gpu), key=lambda run: run.start)
        edges = [min(published.values()), *(run.end for run in mine)]
        starts = [*(run.start for run in mine), max(run.end for run in runs)]
        for free_since, busy_at in zip(edges, starts, strict=True):
            # While the GPU was free: when did some other or its own next task wait that would have fitted?
            waits = [
                (max(free_since, published[run.task]), min(busy_at, run.start))
                for run in runs
                if run.vram <= room and published[run.task] < busy_at and run.start > free_since
            ]
            gaps += [end - start for start, end in joined(waits)]
    return sorted(gaps)


def joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Overlapping spans as one."""
    whole: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    return whole


def test_idle_time_is_counted_only_while_fitting_work_waits() -> None:
    def run(task: str, gpu: str, vram: int, start: float, end: float) -> Run:
        return Run(task, gpu, gpu, 1, vram, start, end)

    small_waits = [run("a", "big", 1, 0, 10), run("b", "big", 1, 10, 12), run("c", "small", 1, 4, 9)]
    assert idle_gaps(small_waits, {"a": 0, "b": 0, "c": 0}, {"big": 2, "small": 1}) == [1, 4]
    large_waits = [run("a", "big", 2, 0, 10), run("b", "big", 2, 10, 12), run("c", "small", 1, 0, 9)]
    assert idle_gaps(large_waits, {"a": 0, "b": 0, "c": 0}, {"big": 2, "small": 1}) == []


def test_two_hundred_tasks_run_once_each_where_they_fit_and_leave_no_gpu_idle(
    grid: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = {}
    for number in range(200):
        size = SIZES[number % len(SIZES)]
        seconds = 0.02 + 0.04 * (number * 7 % 11) / 10
        handle = grid.task("work").apply_async((seconds,), vram=f"{size}GiB")
        grid.ledger.write("published", handle.id)
        sent[handle.id] = (handle, size * GIB)
    grid.results([handle for handle, _ in sent.values()])
    runs = grid.ledger.runs(sent)
    memory = {device.uuid: device.memory_total for device in grid.devices}

    assert Counter(run.task for run in runs) == dict.fromkeys(sent, 1)
    assert all(run.end is not None and run.vram == sent[run.task][1] <= memory[run.gpu] for run in runs)
    for gpu in memory:
        mine = [run for run in runs if run.gpu == gpu]
        assert mine, f"{gpu} ran nothing"
        assert all(before.end <= after.start for before, after in pairwise(mine))

    published = {task: at for task, at in grid.ledger.published().items() if task in sent}
    gaps = idle_gaps(runs, published, memory)
    long = [gap for gap in gaps if gap > 0.05]
    busy = sum(run.end - run.start for run in runs) / (4 * (max(run.end for run in runs) - min(published.values())))
    with capsys.disabled():
        print(
            f"\n200 tasks, 4 GPUs: worst idle gap {gaps[-1] * 1000:.1f} ms, "
            f"median {gaps[len(gaps) // 2] * 1000:.1f} ms, {len(long)} of {len(gaps)} over 50 ms, GPUs busy {busy:.0%}"
        )
    # The machine that runs this may stop everything for a moment; a GPU forgotten would idle for a second.
    assert len(long) <= len(gaps) * 0.05
    assert gaps[-1] < 0.5
