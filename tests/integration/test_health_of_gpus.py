"""Sick GPUs under real workers: what runs there ends or stays as the cause says, and work returns after a check."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet import DEADLINE, NODE, Fleet, eventually

from gridq.cli.explain import explain, render
from gridq.cli.look import console
from gridq.gpu.health import State, Verdict

FIRST, SECOND = f"gpu0@{NODE}", f"gpu1@{NODE}"
PROBE = 0.1
#: Seconds that this machine may be late, with other tests on it.
BUSY = 3.0


@pytest.fixture(scope="module")
def _pair(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    fleet = new_fleet(
        "sim:2x24GiB",
        cpu_weight="0",
        probe_interval=f"{PROBE}s",
        probe_deadline="2s",
        heartbeat="0.2s",
        recovery="0.3s",
    )
    with fleet.at_work(2):
        yield fleet


@pytest.fixture
def pair(_pair: Fleet) -> Fleet:
    """Two idle workers of 24 GiB each, read ten times a second."""
    for device in _pair.devices:
        _pair.sim.reset(device.uuid)
    _pair.await_idle()
    return _pair


def verdict_of(fleet: Fleet, name: str) -> Verdict:
    return fleet.living()[name].gpus[0].verdict


def await_verdict(fleet: Fleet, name: str, state: State) -> Verdict:
    def found() -> Verdict | None:
        verdict = verdict_of(fleet, name)
        return verdict if verdict.state is state else None

    return eventually(found, f"{name} is {state}, not {verdict_of(fleet, name)}\n{fleet.last_words()}")


def begin(fleet: Fleet, name: str, path: Path) -> Any:
    """A task that has begun on that worker, though it may run on others, and runs until the file appears."""
    other = SECOND if name == FIRST else FIRST
    blocker = fleet.task("wait_for").apply_async((str(path) + ".blocker",), queue=other)
    fleet.await_state(blocker.id, "running")
    handle = fleet.task("wait_for").apply_async((str(path),), vram="8GiB")
    assert fleet.await_state(handle.id, "running").worker == name
    eventually(lambda: fleet.ledger.runs([handle.id]), "it has begun")
    Path(str(path) + ".blocker").touch()
    blocker.get(timeout=DEADLINE)
    return handle


def losses(fleet: Fleet, task_id: str) -> int:
    return int(fleet.store.command("HGET", f"gridq:task:{task_id}", "losses") or 0)


def pid_of(fleet: Fleet, name: str) -> int:
    """The child of that worker, as a task of its own tells it."""
    return fleet.task("work").apply_async(queue=name).get(timeout=DEADLINE)["pid"]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_gpu_that_is_lost_ends_its_task_which_runs_on_another_uncharged(pair: Fleet, signal_file: Path) -> None:
    handle, gpu = begin(pair, FIRST, signal_file), pair.devices[0].uuid
    [run] = pair.ledger.runs([handle.id])
    struck = time.monotonic()
    pair.sim.set(gpu, lost=True)
    pair.sim.raise_xid(gpu, 79)
    eventually(lambda: not lives(run.pid), "its process is gone")
    # Two looks of the probe.
    assert time.monotonic() - struck < 2 * PROBE + BUSY
    second = eventually(lambda: pair.ledger.runs([handle.id])[1:], f"it runs again\n{pair.last_words()}")[0]
    assert (second.worker, second.gpu) == (SECOND, pair.devices[1].uuid)
    verdict = await_verdict(pair, FIRST, State.UNHEALTHY)
    assert set(verdict.reasons) >= {
        "XID 79: the GPU has fallen off the bus (quarantine)",
        "lost: the card has fallen off the bus",
    }
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["gpu"] == pair.devices[1].uuid
    record = pair.await_state(handle.id, "done")
    assert (losses(pair, handle.id), record.attempts) == (0, 2)
    assert [(note.number, note.gpu, note.worker) for note in record.xids] == [(79, gpu, FIRST)]

    # The card is back: calm for a while, then a check, then work.
    pinned = pair.task("work").apply_async(queue=FIRST)
    pair.sim.reset(gpu)
    assert pinned.get(timeout=DEADLINE)["gpu"] == gpu
    await_verdict(pair, FIRST, State.HEALTHY)
    log = pair.node(FIRST).logs()
    assert f"the check of {gpu} passed" in log
    assert f"task {handle.id} was on the GPU when XID 79 fired" in log


def test_a_hot_gpu_takes_nothing_and_what_runs_there_ends_in_its_own_time(pair: Fleet, signal_file: Path) -> None:
    handle, gpu = begin(pair, FIRST, signal_file), pair.devices[0].uuid
    pair.sim.set(gpu, temperature=95)
    assert await_verdict(pair, FIRST, State.UNHEALTHY).reasons == ("hot: 95°C, the limit is 90°C",)
    others = pair.results([pair.task("work").apply_async(vram="8GiB") for _ in range(4)])
    assert {where["worker"] for where in others} == {SECOND}
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["worker"] == FIRST
    assert len(pair.ledger.runs([handle.id])) == 1
    # Below the limit, and not yet well below it.
    pair.sim.set(gpu, temperature=84)
    verdict = eventually(
        lambda: (now := verdict_of(pair, FIRST)).reasons[0].startswith("hot lately") and now, "it has cooled a little"
    )
    assert verdict.state is State.UNHEALTHY
    waiting = pair.task("work").apply_async(queue=FIRST)
    pair.sim.set(gpu, temperature=None)
    assert waiting.get(timeout=DEADLINE)["gpu"] == gpu


def test_a_gpu_whose_check_fails_stays_out_and_says_why(pair: Fleet) -> None:
    gpu = pair.devices[1].uuid
    pair.sim.set(gpu, canary_fails=True)
    pair.sim.raise_xid(gpu, 46)
    failed = "the check failed: the simulated card computes wrongly"
    eventually(lambda: failed in str(verdict_of(pair, SECOND).reasons), "the check has failed")
    pinned = pair.task("work").apply_async(queue=SECOND)
    others = pair.results([pair.task("work").apply_async(vram="8GiB") for _ in range(4)])
    assert {where["worker"] for where in others} == {FIRST}
    eventually(lambda: pair.node(SECOND).logs().count(failed.removeprefix("the check failed: ")) > 2, "it is repeated")
    assert pair.record(pinned.id).state == "waiting"
    pair.sim.set(gpu, canary_fails=False)
    assert pinned.get(timeout=DEADLINE)["gpu"] == gpu


def test_a_drained_gpu_leaves_its_task_and_is_checked_when_that_has_ended(pair: Fleet, signal_file: Path) -> None:
    handle, gpu = begin(pair, FIRST, signal_file), pair.devices[0].uuid
    checks = pair.node(FIRST).logs().count("the check of")
    pair.sim.raise_xid(gpu, 74)
    waits = "it is checked when the task on it has ended"
    eventually(lambda: waits in verdict_of(pair, FIRST).reasons, "it waits for its task")
    assert pair.node(FIRST).logs().count("the check of") == checks
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["worker"] == FIRST
    await_verdict(pair, FIRST, State.HEALTHY)
    assert pair.node(FIRST).logs().count("the check of") == checks + 1


def test_a_page_fault_is_noted_with_the_task_that_fails_by_it_and_nothing_else_changes(pair: Fleet) -> None:
    pid, gpu = pid_of(pair, FIRST), pair.devices[0].uuid
    handle = pair.task("broken").apply_async(queue=FIRST)
    with pytest.raises(ValueError, match="out of stock"):
        handle.get(timeout=DEADLINE)
    # The driver tells of it when the task has ended already.
    pair.await_state(handle.id, "failed")
    pair.sim.raise_xid(gpu, 31, pid=pid)
    record = eventually(lambda: (now := pair.record(handle.id)).xids and now, "the XID is noted")
    [note] = record.xids
    assert (note.number, note.meaning) == (31, "a kernel touched memory that is not mapped (page fault)")
    assert 0 <= pair.store.now() - note.at < 10
    assert record.state == "failed"
    assert verdict_of(pair, FIRST).state is State.HEALTHY
    out = console()
    with out.capture() as told:
        out.print(render(explain(record, [], pair.store.now())))
    assert "this task was on gpu0@node1 when XID 31 fired" in " ".join(told.get().split())
    assert pid_of(pair, FIRST) == pid


def test_a_contained_memory_error_replaces_the_process_after_its_task(pair: Fleet, signal_file: Path) -> None:
    idle, gpu = pid_of(pair, SECOND), pair.devices[0].uuid
    handle = begin(pair, FIRST, signal_file)
    [run] = pair.ledger.runs([handle.id])
    pair.sim.raise_xid(gpu, 94)
    eventually(lambda: pair.record(handle.id).xids, "the XID is noted")
    assert lives(run.pid)
    signal_file.touch()
    assert handle.get(timeout=DEADLINE)["pid"] == run.pid
    eventually(lambda: not lives(run.pid), "the process is replaced")
    assert verdict_of(pair, FIRST).state is State.HEALTHY
    assert pid_of(pair, FIRST) != run.pid
    # At once where nothing runs, and nowhere but on that GPU.
    before = pid_of(pair, FIRST)
    pair.sim.raise_xid(gpu, 63)
    eventually(lambda: not lives(before), "the idle process is replaced")
    assert pid_of(pair, FIRST) != before
    assert pid_of(pair, SECOND) == idle and lives(idle) and os.getpid() != idle


def test_a_task_that_upsets_each_gpu_and_dies_is_buried(pair: Fleet, signal_file: Path) -> None:
    handle = pair.task("wait_for").delay(str(signal_file))

    def runs_so_often(count: int) -> Any:
        runs = pair.ledger.runs([handle.id])
        return len(runs) == count and runs[-1]

    def is_dead() -> bool:
        return pair.record(handle.id).state == "dead"

    # A look may find the process dead before it has been marked; then the task itself is charged with the loss.
    for count in range(1, 6):
        run = eventually(lambda count=count: is_dead() or runs_so_often(count), "it runs again, or is dead")
        if run is True:
            break
        pair.sim.raise_xid(run.gpu, 94)
        eventually(lambda count=count: len(pair.record(handle.id).xids) >= count, "the XID is noted")
        os.kill(run.pid, signal.SIGKILL)
    pair.await_state(handle.id, "dead")
