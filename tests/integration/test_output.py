"""What tasks print, and how far they say they are, can be read while they run and after, whatever becomes of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet import DEADLINE, NODE, Fleet, eventually

from gridq.store import output

WORKER = f"cpu@{NODE}"


@pytest.fixture(scope="module")
def _cpu(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    fleet = new_fleet("sim:24GiB", output_limit="64KiB", output_total="1MiB")
    try:
        fleet.start_worker(WORKER, "cpu", "-c", "2")
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def cpu(_cpu: Fleet) -> Fleet:
    """A CPU worker with two children, which keeps 64 KiB of each task's output and a megabyte of all."""
    _cpu.await_idle()
    return _cpu


def text(fleet: Fleet, task_id: str) -> str:
    """What is kept of a task's output."""
    return "".join(printed.part.text for printed in output.read(fleet.store, task_id))


def logs(fleet: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`gridq logs …`."""
    command = [sys.executable, "-m", "gridq.cli", "-A", "shop", "logs", *arguments]
    return subprocess.run(command, env=fleet.environment, capture_output=True, text=True, timeout=DEADLINE)


def test_whoever_prints_in_a_task_is_heard(cpu: Fleet) -> None:
    handle = cpu.task("say_in_every_way").delay()
    handle.get(timeout=DEADLINE)
    done = logs(cpu, handle.id)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(
        [
            "python says hällo",
            "python complains",
            "a descriptor says so",
            "c says 42",
            "a shell says so",
            "a shell complains",
            "WARNING shop.talk: a task's logger says so",
            "INFO shop.other: another logger says so",
            "c says no newline",
        ]
    )
    eventually(lambda: f"task {handle.id}: python says hällo" in cpu.node(WORKER).logs(), "the worker's log has it")


def test_output_is_followed_while_it_comes_and_until_the_task_ends(cpu: Fleet, signal_file: Path) -> None:
    handle = cpu.task("say_and_wait").delay("\x1b[31mhello\x1b[2J", str(signal_file))
    command = [sys.executable, "-m", "gridq.cli", "-A", "shop", "logs", "-f", handle.id]
    follower = subprocess.Popen(command, env=cpu.environment, stdout=subprocess.PIPE, text=True)
    try:
        assert follower.stdout is not None
        # Into a pipe all goes as it was printed.
        assert follower.stdout.readline() == "\x1b[31mhello\x1b[2J\n"
        assert cpu.record(handle.id).state == "running"
        signal_file.touch()
        assert follower.communicate(timeout=DEADLINE)[0] == "\x1b[31mhello\x1b[2J again\n"
        assert follower.returncode == 0
    finally:
        follower.kill()


def test_the_last_words_of_a_crash_are_kept_and_the_next_attempt_is_told_apart(cpu: Fleet, tmp_path: Path) -> None:
    handle = cpu.task("crash_once").delay(str(tmp_path / "crashed"))
    assert handle.get(timeout=DEADLINE) == "alive"
    done = logs(cpu, handle.id)
    first, _, second = done.stdout.partition(f"— attempt 2 on {WORKER} —\n")
    assert first.startswith("about to crash\nlast words")
    assert second == "this time it goes well\n"
    rows = [json.loads(line) for line in logs(cpu, "--json", handle.id).stdout.splitlines()]
    assert [row["attempt"] for row in rows] == sorted(row["attempt"] for row in rows)
    assert {row["worker"] for row in rows} == {WORKER}
    assert logs(cpu, "--tail", "1", handle.id).stdout.splitlines()[-1] == "this time it goes well"


def test_of_a_flood_the_latest_is_kept(cpu: Fleet) -> None:
    handle = cpu.task("flood").delay(20_000, 100)
    handle.get(timeout=DEADLINE)
    eventually(lambda: f"{19_999:099d}\n" in text(cpu, handle.id), "the last line has come")
    kept = text(cpu, handle.id)
    assert 32 * 1024 < len(kept) <= 64 * 1024
    assert "left out —" in logs(cpu, handle.id).stdout


def test_of_all_tasks_the_output_is_bounded_and_the_oldest_goes_first(cpu: Fleet) -> None:
    handles = [cpu.task("flood").delay(600, 100) for _ in range(24)]
    cpu.results(handles)
    printed = cpu.runtime_dir / "output" / WORKER / "printed"
    eventually(lambda: not any(printed.iterdir()), "all of it has been passed on")
    total = sum(len(text(cpu, handle.id)) for handle in handles)
    assert 512 * 1024 < total <= 1024 * 1024
    assert text(cpu, handles[0].id) == ""
    assert int(cpu.store.command("GET", "gridq:outputs:sum")) <= 1024 * 1024


def test_a_task_may_do_anything_to_its_descriptors(cpu: Fleet) -> None:
    for _ in range(2):
        cpu.task("misbehave").delay().get(timeout=DEADLINE)
    handles = [cpu.task("say").delay("all is well") for _ in range(4)]
    cpu.results(handles)
    for handle in handles:
        eventually(lambda id=handle.id: text(cpu, id) == "all is well\n", "its output")


def test_what_a_task_leaves_behind_is_heard_until_it_ends(cpu: Fleet, signal_file: Path) -> None:
    handle = cpu.task("leave_behind").delay(str(signal_file))
    handle.get(timeout=DEADLINE)
    eventually(lambda: text(cpu, handle.id) == "I go\n", "its own words")
    other = cpu.task("say").delay("someone else")
    other.get(timeout=DEADLINE)
    eventually(lambda: text(cpu, other.id) == "someone else\n", "the words of the next task")
    signal_file.touch()
    eventually(lambda: text(cpu, handle.id) == "I go\nleft behind\n", "the words of what it left")
    assert text(cpu, other.id) == "someone else\n"


def test_progress_is_seen_while_the_task_runs_and_stays(cpu: Fleet, signal_file: Path) -> None:
    handle = cpu.task("steps").delay(50, str(signal_file))

    def halfway() -> Any:
        record = cpu.record(handle.id)
        return record.progress if record and record.progress and record.progress.done == 25 else None

    progress = eventually(halfway, "it has said that it is half done")
    assert (progress.total, progress.note, progress.share) == (50, "half", 0.5)
    assert progress.eta(progress.at) > 0
    assert cpu.record(handle.id).to_dict()["progress"]["ends_at"] > progress.at
    signal_file.touch()
    handle.get(timeout=DEADLINE)
    eventually(lambda: cpu.record(handle.id).progress.done == 50, "the last report")
    assert cpu.record(handle.id).progress.eta(cpu.store.now()) == 0


def test_what_was_printed_goes_with_its_record(cpu: Fleet) -> None:
    handle = cpu.task("say").delay("hello")
    handle.get(timeout=DEADLINE)
    eventually(lambda: any(printed.part.ends for printed in output.read(cpu.store, handle.id)), "its end")
    assert 0 < cpu.store.command("PTTL", f"gridq:output:{handle.id}") <= 86_400_000
    cpu.store.command("DEL", f"gridq:task:{handle.id}")

    def gone() -> bool:
        cpu.task("say").delay("hello").get(timeout=DEADLINE)
        return text(cpu, handle.id) == ""

    eventually(gone, "others print, and it is gone")
    assert cpu.store.command("ZSCORE", "gridq:outputs", handle.id) is None


def test_a_silent_task_and_an_unknown_one_are_told_apart(cpu: Fleet) -> None:
    handle = cpu.task("add").delay(1, 2)
    handle.get(timeout=DEADLINE)
    silent = logs(cpu, handle.id)
    assert (silent.returncode, silent.stdout) == (0, "")
    assert "has printed nothing" in silent.stderr
    unknown = logs(cpu, "nobody")
    assert unknown.returncode == 1
    assert "expected the id of a task, got 'nobody'" in unknown.stderr and "hint:" in unknown.stderr


def test_a_worker_that_was_killed_leaves_its_last_words_to_the_next(cpu: Fleet, signal_file: Path) -> None:
    handle = cpu.task("say_and_wait").delay("hello", str(signal_file))
    eventually(lambda: text(cpu, handle.id) == "hello\n", "it prints")
    node = cpu.node(WORKER)
    os.kill(node.container.popen.pid, signal.SIGSTOP)
    (file,) = (path for path in (cpu.runtime_dir / "output" / WORKER / "pads").iterdir() if not path.suffix)
    with file.open("a") as words:
        words.write("said while its worker slept\n")
    node.container.kill_all()
    signal_file.touch()
    node.restart()
    handle.get(timeout=DEADLINE)
    eventually(lambda: "hello again" in text(cpu, handle.id), "the second attempt")
    assert "said while its worker slept\n" in text(cpu, handle.id)


def test_a_worker_that_stops_leaves_nothing_on_the_disk(cpu: Fleet) -> None:
    node = cpu.node(WORKER)
    handle = cpu.task("say").delay("goodbye")
    handle.get(timeout=DEADLINE)
    node.container.may_end = True
    node.kill("SIGTERM")
    assert node.container.wait() == 0, node.logs()
    assert text(cpu, handle.id) == "goodbye\n"
    assert list((cpu.runtime_dir / "output").iterdir()) == []


def test_without_a_limit_nothing_is_caught(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet("sim:24GiB", output_limit="0")
    try:
        fleet.start_worker(WORKER, "cpu", "-c", "1")
        leads_to, kind = fleet.task("descriptors").delay().get(timeout=DEADLINE)
        assert leads_to == str(fleet.nodes[0].container.log)
        assert kind == "LoggingProxy"
        assert not [name for name in fleet.database.names() if name.startswith("gridq:output")]
    finally:
        fleet.stop()
