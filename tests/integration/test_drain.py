"""Drained workers take nothing new and finish what they run; stopped workers too, for as long as their grace lasts."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import family
import pytest
from click.testing import Result
from fleet import DEADLINE, NODE, Fleet, eventually

FIRST, SECOND = f"gpu0@{NODE}", f"gpu1@{NODE}"
NORMAL = "\x06\x163"
GRACE = 1.5


@pytest.fixture(scope="module")
def _pair(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    fleet = new_fleet("sim:2x24GiB", lease="3s", cpu_weight="0", grace=f"{GRACE:g}s")
    family.add_to(fleet.app)
    with fleet.at_work(2, *family.OPTIONS):
        yield fleet


@pytest.fixture
def pair(_pair: Fleet) -> Iterator[Fleet]:
    """Two idle workers of 24 GiB that are not drained; whichever a test has ended is started again."""
    _pair.store.command("DEL", "gridq:drains")
    for node in _pair.nodes:
        if node.container.status != "running":
            node.container.may_end = False
            node.container.restart()
    eventually(lambda: not any(one.shut for one in _pair.living().values()), "nobody is drained")
    _pair.await_idle()
    return _pair


@pytest.fixture
def gridq(pair: Fleet, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a gridq command for the fleet."""
    return family.terminal(pair, monkeypatch)


def test_a_drained_worker_finishes_its_task_hands_on_what_it_was_given_and_takes_no_more(
    pair: Fleet, gridq: Callable[..., Result], signal_file: Path
) -> None:
    wait_for, work = pair.task("wait_for"), pair.task("work")
    running = wait_for.apply_async((str(signal_file),), queue=FIRST)
    pair.await_state(running.id, "running")
    result = gridq("drain", FIRST)
    assert (result.exit_code, result.output) == (
        0,
        f"{FIRST} takes no more tasks; 1 task still runs on it, without a deadline\n",
    )
    eventually(lambda: pair.living()[FIRST].shut, "the worker knows")
    assert [work.apply_async(vram="8GiB").get(timeout=DEADLINE)["worker"] for _ in range(3)] == [SECOND] * 3
    (row,) = [row for row in json.loads(gridq("gpus", "--json").stdout) if row["worker"] == FIRST]
    assert row["draining"] and row["verdict"] == "healthy"
    assert "healthy draining" in gridq("status").output
    assert f"draining: {FIRST}" in gridq("health").output
    signal_file.touch()
    assert running.get(timeout=DEADLINE)["worker"] == FIRST
    waited = gridq("drain", FIRST, "--wait")
    assert waited.exit_code == 0 and waited.output.endswith(f"nothing runs on {FIRST}\n")


def test_what_was_placed_on_an_idle_worker_that_is_drained_runs_elsewhere(
    pair: Fleet, gridq: Callable[..., Result], signal_file: Path
) -> None:
    busy = pair.task("wait_for").apply_async((str(signal_file),), queue=SECOND)
    pair.await_state(busy.id, "running")
    assert gridq("drain", FIRST, "--wait").exit_code == 0
    placed = pair.task("work").apply_async(vram="8GiB")
    # As if it had been placed before the drain.
    assert pair.store.redis.lmove(f"gpu.8g{NORMAL}", f"{FIRST}{NORMAL}", "RIGHT", "LEFT")
    signal_file.touch()
    assert placed.get(timeout=DEADLINE)["worker"] == SECOND
    explained = json.loads(gridq("explain", placed.id, "--json").stdout)
    assert explained["placement"]["rejected"] == {"is draining": 1}


def test_a_drain_outlives_the_worker_and_ends_with_undrain(pair: Fleet, gridq: Callable[..., Result]) -> None:
    assert gridq("drain", NODE, "--wait").exit_code == 0
    node, killed = pair.node(FIRST), pair.living()[FIRST].token
    node.container.is_ready = lambda: True
    node.container.kill_all()
    waiting = pair.task("work").apply_async(vram="8GiB")
    node.restart()

    def is_back() -> bool:
        now = pair.living().get(FIRST)
        return now is not None and now.token != killed and now.gpus[0].reading is not None

    eventually(is_back, "it is back")
    node.container.is_ready = lambda: pair.await_node(node)
    assert pair.living()[FIRST].shut
    beats = {pair.living()[FIRST].expires_at}
    # Workers look for tasks once a second; four heartbeats take two.
    eventually(lambda: beats.add(pair.living()[FIRST].expires_at) or len(beats) > 4, "it has looked for tasks")
    assert pair.record(waiting.id).state == "waiting"
    wrong = gridq("undrain", FIRST)
    assert wrong.exit_code == 1 and f"hint: gridq undrain {NODE}" in wrong.stderr
    assert gridq("undrain", NODE).exit_code == 0
    assert waiting.get(timeout=DEADLINE)["worker"] in (FIRST, SECOND)


def test_after_the_deadline_what_still_runs_goes_back_uncounted_and_its_processes_are_gone(
    pair: Fleet, gridq: Callable[..., Result], tmp_path: Path
) -> None:
    raise_family = pair.app.tasks["family.raise_family"]
    handle = raise_family.apply_async((str(tmp_path / "family"), True), vram="8GiB")
    pids = family.await_family(tmp_path / "family")
    worker = pair.await_state(handle.id, "running").worker
    (tmp_path / "family").unlink()
    began = time.monotonic()
    waited = gridq("drain", worker, "--deadline", "1s", "--wait")
    assert waited.exit_code == 0, waited.output
    assert 1 <= time.monotonic() - began < 3
    # It runs on the other worker by now.
    again = family.await_family(tmp_path / "family")
    eventually(lambda: family.living(pids) == [], "all of them are gone", 1)
    record = pair.await_state(handle.id, "running")
    assert (record.worker, record.attempts) == ({FIRST: SECOND, SECOND: FIRST}[worker], 2)
    assert "was drained" in record.reason
    assert pair.store.command("HGET", f"gridq:task:{handle.id}", "losses") is None
    pair.app.control.revoke(handle.id, terminate=True, signal="SIGKILL")
    pair.await_state(handle.id, "cancelled")
    assert family.living(again) == []


def test_a_name_that_nobody_has_is_met_with_the_nearest_one(pair: Fleet, gridq: Callable[..., Result]) -> None:
    wrong = gridq("drain", "gpu0@nod1")
    assert wrong.exit_code == 1
    assert f"hint: did you mean '{FIRST}'?" in wrong.stderr
    assert (
        gridq("drain", "gpu7@node9", "--unseen").output == "gpu7@node9 takes no tasks when it comes; it is away now\n"
    )
    assert gridq("undrain", "gpu7@node9").exit_code == 0
    assert "drained now: nothing" in gridq("undrain", "gpu7@node9").stderr


def test_a_stopped_worker_gives_its_task_the_grace_and_then_back_uncounted(pair: Fleet, tmp_path: Path) -> None:
    raise_family = pair.app.tasks["family.raise_family"]
    handle = raise_family.apply_async((str(tmp_path / "family"), True), queue=FIRST)
    pids = family.await_family(tmp_path / "family")
    node = pair.node(FIRST)
    node.container.may_end = True
    began = time.monotonic()
    node.container.kill("SIGTERM")
    eventually(lambda: pair.living()[FIRST].shut, "everybody knows that it stops")
    assert node.container.wait() == 0, node.logs()
    assert GRACE <= time.monotonic() - began < GRACE + 3
    assert family.living(pids) == []
    record = pair.record(handle.id)
    assert (record.state, record.queue, record.attempts) == ("waiting", FIRST, 1)
    assert pair.store.command("HGET", f"gridq:task:{handle.id}", "losses") is None
    handle.revoke()
    assert pair.waiting() == {}


@pytest.mark.parametrize("signals", [[signal.SIGQUIT], [signal.SIGINT, signal.SIGINT]], ids=["SIGQUIT", "Ctrl-C twice"])
def test_a_cold_shutdown_kills_its_tasks_before_they_go_back(
    pair: Fleet, tmp_path: Path, signals: list[signal.Signals]
) -> None:
    handle = pair.app.tasks["family.raise_family"].apply_async((str(tmp_path / "family"), True), queue=FIRST)
    pids = family.await_family(tmp_path / "family")
    node = pair.node(FIRST)
    node.container.may_end = True
    *before, last = signals
    for number in before:
        node.container.kill(number)
        eventually(lambda: pair.living()[FIRST].shut, "the first one was heard")
    node.container.kill(last)

    def is_back() -> bool:
        back = pair.record(handle.id).state == "waiting"
        assert not back or family.living(pids) == [], "it could start elsewhere while it still ran"
        return back

    eventually(is_back, f"it is back\n{node.logs()[-2000:]}")
    record = pair.record(handle.id)
    assert (record.reason, record.attempts) == (f"{FIRST} was stopped", 1)
    node.container.wait()
    assert pair.store.command("HGET", f"gridq:task:{handle.id}", "losses") is None
    handle.revoke()
    assert pair.waiting() == {}
