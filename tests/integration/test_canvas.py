"""Celery stays Celery: canvas, results, eta and retries, on GPUs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from celery import chain, chord, group
from fleet import DEADLINE, NODE, Fleet, eventually

from gridq.units import GIB


def test_a_task_runs_on_the_smallest_of_the_idle_gpus_that_it_fits(grid: Fleet) -> None:
    for vram, expected in (("30GiB", 48), ("60GiB", 80), ("10GiB", 24)):
        grid.await_rested()
        where = grid.task("work").apply_async(vram=vram).get(timeout=DEADLINE)
        device = next(device for device in grid.devices if device.uuid == where["gpu"])
        assert device.memory_total == expected * GIB
        assert where["worker"] == f"gpu{device.index}@{NODE}"


def test_a_task_without_needs_runs_on_the_cpu_worker(grid: Fleet) -> None:
    where = grid.task("work_on_cpu").delay().get(timeout=DEADLINE)
    assert (where["worker"], where["gpu"]) == (f"cpu@{NODE}", None)


def test_a_group_keeps_what_each_of_its_tasks_asks_for(grid: Fleet) -> None:
    work = grid.task("work")
    found = group(work.s().set(vram=f"{size}GiB") for size in (70, 40, 20, 8, 60)).apply_async().get(timeout=DEADLINE)
    memory = {device.uuid: device.memory_total // GIB for device in grid.devices}
    assert [memory[where["gpu"]] for where in found][:2] == [80, 48]
    assert memory[found[4]["gpu"]] == 80 and memory[found[2]["gpu"]] >= 24


def test_a_chain_goes_from_cpu_to_gpu_and_back(grid: Fleet) -> None:
    add, scale = grid.task("add"), grid.task("scale")
    result = chain(add.s(1, 2), scale.s(factor=10).set(vram="40GiB"), add.s(5)).apply_async()
    assert result.get(timeout=DEADLINE) == 35
    run = grid.ledger.runs([result.parent.id])[0]
    assert run.vram == 40 * GIB and run.gpu in {device.uuid for device in grid.devices[2:]}


def test_a_chord_ends_on_a_gpu_that_its_body_fits(grid: Fleet) -> None:
    scale, total = grid.task("scale"), grid.task("total")
    result = chord((scale.s(x) for x in range(5)), total.s().set(vram="70GiB")).apply_async()
    assert result.get(timeout=DEADLINE) == 20
    assert grid.ledger.runs([result.id])[0].gpu == grid.devices[3].uuid


def test_an_error_reaches_the_caller_and_the_record(grid: Fleet) -> None:
    handle = grid.task("broken").delay()
    with pytest.raises(ValueError, match="out of stock"):
        handle.get(timeout=DEADLINE)
    record = grid.await_state(handle.id, "failed")
    assert record.reason == "ValueError: out of stock"


def test_a_countdown_is_held_in_redis_and_kept_to_the_tenth_of_a_second(grid: Fleet) -> None:
    late = []
    for countdown in (1.0, 0.83, 0.91):
        began = time.monotonic()
        handle = grid.task("work").apply_async(vram="8GiB", countdown=countdown)
        assert grid.record(handle.id).state == "delayed" and grid.store.command("ZCARD", "gridq:delayed") == 1
        assert not any(status.running for status in grid.living().values())
        handle.get(timeout=DEADLINE)
        late.append(grid.ledger.runs([handle.id])[0].start - began - countdown)
        grid.await_idle()
    # Milliseconds as a rule, but this machine may have been busy with something else once.
    assert min(late) > -0.05 and sorted(late)[1] < 0.2, late


def test_an_eta_in_any_zone_is_kept(grid: Fleet) -> None:
    due = datetime.now(UTC).astimezone(timezone(timedelta(hours=5))) + timedelta(seconds=0.5)
    handle = grid.task("work").apply_async(eta=due)
    handle.get(timeout=DEADLINE)
    started = next(event for event in grid.ledger.events([handle.id]) if event["event"] == "start")
    assert -0.05 < started["time_ns"] / 1e9 - due.timestamp() < 3.0


def test_a_delayed_task_of_the_cpu_waits_in_redis_too(grid: Fleet) -> None:
    handle = grid.task("add").apply_async((1, 2), countdown=1)
    assert grid.record(handle.id).state == "delayed"
    assert handle.get(timeout=DEADLINE) == 3


def test_a_retry_keeps_its_needs_waits_in_redis_and_is_placed_anew(grid: Fleet) -> None:
    handle = grid.task("flaky").apply_async((2, 0.2), vram="40GiB")
    assert handle.get(timeout=DEADLINE)["try"] == 2
    runs = grid.ledger.runs([handle.id])
    assert [run.vram for run in runs] == [40 * GIB] * 3
    assert {run.gpu for run in runs} <= {device.uuid for device in grid.devices[2:]}
    waits = [after.start - before.end for before, after in pairwise(runs)]
    assert all(0.15 < wait < 5 for wait in waits), waits
    record = grid.await_state(handle.id, "done")
    assert record.attempts == 3 and record.needs["vram"] == 40 * GIB


def test_a_retry_goes_to_another_gpu_when_its_first_one_is_sick(grid: Fleet) -> None:
    grid.await_rested()
    handle = grid.task("flaky").apply_async((1, 2.5), vram="40GiB")
    grid.await_state(handle.id, "delayed")
    first = grid.ledger.runs([handle.id])[0].gpu
    assert first == grid.devices[2].uuid
    grid.sim.set(first, temperature=95)
    eventually(lambda: not grid.living()[f"gpu2@{NODE}"].takes_work, "it is known to be hot")
    assert handle.get(timeout=DEADLINE)["gpu"] == grid.devices[3].uuid
