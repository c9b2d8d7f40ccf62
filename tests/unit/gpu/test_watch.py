"""A probe in a process of its own: it may hang or die, and its worker never waits for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gridq.errors import GridqError
from gridq.gpu.health import State
from gridq.gpu.sim import Simulator
from gridq.gpu.watch import Watch

GPU, OTHER = "SIM-0000-24gib", "SIM-0001-24gib"
INTERVAL, DEADLINE = 0.05, 0.6

Eventually = Callable[..., Any]


@pytest.fixture
def open_watch(tmp_path: Path) -> Iterator[Callable[..., Watch]]:
    watches: list[Watch] = []

    def begin(spec: str = "sim:2x24GiB", deadline: float = DEADLINE) -> Watch:
        watch = Watch(spec, [GPU, OTHER], interval=INTERVAL, deadline=deadline, state_dir=tmp_path)
        watches.append(watch)
        watch.start()
        return watch

    yield begin
    for watch in watches:
        watch.stop()


@pytest.fixture
def simulator(tmp_path: Path) -> Simulator:
    return Simulator(tmp_path)


def state(watch: Watch, uuid: str = GPU) -> State:
    return watch.latest(uuid).verdict.state


def probes_of(parent: int) -> list[int]:
    """The probe processes that a process has, by /proc."""
    children = Path(f"/proc/{parent}/task").glob("*/children")
    pids = [int(pid) for path in children for pid in path.read_text().split()]
    return [pid for pid in pids if b"gridq.gpu.watch" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_gpu_is_unknown_before_its_first_reading(tmp_path: Path) -> None:
    watch = Watch("sim:24GiB", [GPU], interval=1, deadline=3, state_dir=tmp_path)
    observation = watch.latest(GPU)
    assert observation.reading is None
    assert observation.verdict.reasons == ("no reading yet",)
    watch.stop()


def test_every_watched_gpu_is_read_again_and_again(
    open_watch: Callable[..., Watch], simulator: Simulator, eventually: Eventually
) -> None:
    watch = open_watch()
    eventually(lambda: state(watch) is state(watch, OTHER) is State.HEALTHY)
    assert 0 <= watch.latest(GPU).age < DEADLINE
    simulator.set(OTHER, temperature=87)
    eventually(lambda: state(watch, OTHER) is State.DEGRADED)
    simulator.set(OTHER, temperature=None)
    eventually(lambda: state(watch, OTHER) is State.HEALTHY)
    assert state(watch) is State.HEALTHY


def numbers(watch: Watch, uuid: str = GPU) -> list[int]:
    return [event.number for event in watch.latest(uuid).reading.xids]


def test_an_xid_is_told_after_the_reading_that_carried_it_and_so_is_its_repetition(
    open_watch: Callable[..., Watch], simulator: Simulator, eventually: Eventually
) -> None:
    watch = open_watch()
    eventually(lambda: state(watch) is State.HEALTHY)
    simulator.raise_xid(GPU, 13, 79, 79)
    eventually(lambda: numbers(watch) == [13, 79, 79])
    simulator.set(GPU, foreign=7)
    eventually(lambda: watch.latest(GPU).reading.memory_used == 7)
    assert numbers(watch) == [13, 79, 79]
    assert len({event.id for event in watch.latest(GPU).reading.xids}) == 3
    assert (state(watch), state(watch, OTHER), numbers(watch, OTHER)) == (State.HEALTHY, State.HEALTHY, [])


def test_of_a_storm_of_xids_the_last_few_are_told(
    open_watch: Callable[..., Watch], simulator: Simulator, eventually: Eventually
) -> None:
    watch = open_watch()
    simulator.raise_xid(GPU, *range(1, 101))
    eventually(lambda: watch.latest(GPU).reading and numbers(watch) == list(range(69, 101)))


def test_a_new_probe_of_a_simulated_gpu_tells_no_xid_twice(
    open_watch: Callable[..., Watch], simulator: Simulator, eventually: Eventually
) -> None:
    watch = open_watch()
    simulator.raise_xid(GPU, 31)
    eventually(lambda: watch.latest(GPU).reading and numbers(watch) == [31])
    [probe] = probes_of(os.getpid())
    os.kill(probe, signal.SIGKILL)
    simulator.set(GPU, foreign=7)
    eventually(lambda: watch.latest(GPU).reading.memory_used == 7)
    assert numbers(watch) == [31]
    simulator.raise_xid(GPU, 31)
    eventually(lambda: numbers(watch) == [31, 31])


def test_a_hang_is_unknown_within_three_seconds_and_nobody_waits_for_it(
    open_watch: Callable[..., Watch], simulator: Simulator, eventually: Eventually
) -> None:
    watch = open_watch(deadline=3.0)
    eventually(lambda: state(watch) is State.HEALTHY)
    simulator.set(GPU, hang=True)
    began, slowest = time.monotonic(), 0.0
    while state(watch) is not State.UNKNOWN:
        asked = time.monotonic()
        watch.latest(GPU)
        slowest = max(slowest, time.monotonic() - asked)
        assert time.monotonic() - began < 3.5
        time.sleep(0.001)
    assert slowest < 0.2
    assert "expected one within 3s" in watch.latest(GPU).verdict.reasons[0]
    simulator.set(GPU, hang=False)
    eventually(lambda: state(watch) is State.HEALTHY)


def test_a_probe_that_hangs_past_its_deadline_is_replaced(
    open_watch: Callable[..., Watch], simulator: Simulator, eventually: Eventually
) -> None:
    watch = open_watch()
    eventually(lambda: state(watch) is State.HEALTHY)
    [first] = probes_of(os.getpid())
    simulator.set(GPU, hang=True)
    eventually(lambda: (now := probes_of(os.getpid())) and first not in now)
    simulator.set(GPU, hang=False)
    eventually(lambda: state(watch) is State.HEALTHY)


def test_a_probe_that_is_killed_is_replaced(open_watch: Callable[..., Watch], eventually: Eventually) -> None:
    watch = open_watch()
    eventually(lambda: state(watch) is State.HEALTHY)
    [first] = probes_of(os.getpid())
    os.kill(first, signal.SIGKILL)
    eventually(lambda: (now := probes_of(os.getpid())) and first not in now)
    eventually(lambda: state(watch) is State.HEALTHY and watch.latest(GPU).age < INTERVAL * 4)


def test_what_the_probe_complains_of_is_among_the_reasons(
    open_watch: Callable[..., Watch], tmp_path: Path, eventually: Eventually
) -> None:
    watch = open_watch(spec="sim:80GiB")
    reasons = eventually(lambda: (now := watch.latest(GPU).verdict).reasons[1:] and now.reasons)
    assert reasons[1] == f"expected a simulated GPU, got {OTHER!r}" or reasons[1].endswith(f"{GPU!r}")
    assert state(watch) is State.UNKNOWN


def test_a_probe_that_cannot_be_opened_is_unknown_and_says_why(
    open_watch: Callable[..., Watch], eventually: Eventually
) -> None:
    watch = open_watch(spec="sim:zero")
    eventually(lambda: "cannot simulate 'sim:zero'" in str(watch.latest(GPU).verdict.reasons))


def test_ctrl_c_for_the_whole_group_leaves_the_probe_to_its_worker(
    open_watch: Callable[..., Watch], eventually: Eventually
) -> None:
    watch = open_watch()
    eventually(lambda: state(watch) is State.HEALTHY)
    [probe] = probes_of(os.getpid())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(probe, number)
    seen = time.monotonic()
    eventually(lambda: time.monotonic() - watch.latest(GPU).age > seen + 3 * INTERVAL)
    assert probes_of(os.getpid()) == [probe]


@pytest.mark.parametrize("hanging", [False, True])
def test_stop_ends_the_probe_at_once_and_leaves_nothing(
    open_watch: Callable[..., Watch], simulator: Simulator, eventually: Eventually, hanging: bool
) -> None:
    watch = open_watch(deadline=30.0)
    eventually(lambda: state(watch) is State.HEALTHY)
    [probe] = probes_of(os.getpid())
    if hanging:
        simulator.set(GPU, hang=True)
        eventually(lambda: watch.latest(GPU).age > 5 * INTERVAL)
    began = time.monotonic()
    watch.stop()
    watch.stop()
    assert time.monotonic() - began < 1
    # Reaped, not only dead.
    assert not Path(f"/proc/{probe}").exists()
    assert "gridq-watch" not in [thread.name for thread in threading.enumerate()]


def test_a_reading_out_of_reach_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GridqError, match="below the deadline of 3s, got 3s"):
        Watch("sim:24GiB", [GPU], interval=3, deadline=3, state_dir=tmp_path)


WORKER = f"""
import json, os, sys, time
from pathlib import Path
from gridq.gpu.watch import Watch
watch = Watch("sim:24GiB", ["{GPU}"], interval=0.05, deadline=30, state_dir=Path(sys.argv[1]))
watch.start()
while watch.latest("{GPU}").reading is None:
    time.sleep(0.01)
# As a worker does: its children are forked when the watch runs, and have its pipe open.
child = os.fork()
if child == 0:
    time.sleep(60)
print(json.dumps({{"child": child, "probe": watch._process.pid}}), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("hanging", [False, True])
def test_the_probe_ends_with_its_killed_worker_though_children_live_on(
    tmp_path: Path,
    simulator: Simulator,
    python: Callable[..., subprocess.Popen[str]],
    eventually: Eventually,
    hanging: bool,
) -> None:
    worker = python(WORKER, tmp_path)
    pids = json.loads(worker.stdout.readline())
    try:
        if hanging:
            simulator.set(GPU, hang=True)
        assert is_alive(pids["probe"])
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        eventually(lambda: not is_alive(pids["probe"]), timeout=3)
        assert is_alive(pids["child"])
    finally:
        for pid in pids.values():
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_other_programs_do_not_inherit_the_watchs_pipe(
    open_watch: Callable[..., Watch], python: Callable[..., subprocess.Popen[str]], eventually: Eventually
) -> None:
    watch = open_watch()
    eventually(lambda: state(watch) is State.HEALTHY)
    pipe = watch._process.stdout.fileno()
    assert not os.get_inheritable(pipe)
    other = python("print(flush=True); input()", close_fds=False)
    other.stdout.readline()
    theirs = {path.readlink() for path in Path(f"/proc/{other.pid}/fd").iterdir()}
    assert Path(f"/proc/self/fd/{pipe}").readlink() not in theirs
