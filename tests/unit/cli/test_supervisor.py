"""The supervisor starts processes, starts again those that die, and leaves none of them nor of their children."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridq.cli import children
from gridq.cli.interrupts import Interrupts
from gridq.cli.machine import never_ready
from gridq.cli.supervisor import Command, Ended, Supervisor, describe

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
#: A process with a child that ignores SIGTERM.
STUBBORN = (
    "import os, signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('child', os.fork(), flush=True); time.sleep(60)"
)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    """Starts a supervisor of Python programs."""
    running: list[Supervisor] = []

    def start(*programs: str, say: Callable[[str], None] = lambda line: None) -> Supervisor:
        commands = [Command(f"p{i}", (sys.executable, "-c", text)) for i, text in enumerate(programs)]
        supervisor = Supervisor(commands, log_dir=tmp_path / "run" / "log", say=say)
        running.append(supervisor)
        supervisor.start()
        return supervisor

    yield start
    for supervisor in running:
        supervisor.stop()


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Look again until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_output_goes_to_a_private_file_and_is_told_line_by_line(started: Callable[..., Supervisor]) -> None:
    supervisor = started("print('one\\ntwo', flush=True); import time; time.sleep(60)")
    seen: list[tuple[str, str]] = []
    until(lambda: seen.extend(supervisor.new_output()) or len(seen) == 2)
    assert seen == [("p0", "one"), ("p0", "two")]
    assert supervisor.last_words("p0") == "one\ntwo"


def test_what_dies_is_started_again_after_a_pause_and_people_are_told(
    started: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "FIRST_PAUSE", 0.05)
    told: list[str] = []
    supervisor = started(SLEEP, say=told.append)
    supervisor.keep()
    first = supervisor.pids["p0"]
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.tick() or supervisor.pids.get("p0", first) != first)
    assert "p0 was killed by SIGKILL; starting it again in 50ms" in told[0]


def test_pauses_double_up_to_the_longest(tmp_path: Path) -> None:
    child = children.Child("x", [sys.executable, "-c", ""], tmp_path / "x.log", os.environ)
    pauses = []
    for _ in range(7):
        child.start()
        until(lambda: child.ended() is not None)
        pauses.append(child.pause)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_output_without_end_takes_a_bounded_room_and_every_line_is_told(
    started: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(children, "LOG_LIMIT", 2000)
    # Written at a stroke, after which it waits: what it writes while its file begins anew may be lost.
    supervisor = started(
        "import os, time\n"
        "for first in range(0, 300, 50):\n"
        f"    while not os.path.exists({str(tmp_path)!r} + f'/go{{first}}'): time.sleep(0.001)\n"
        "    print(*(f'{line} {\"x\" * 40}' for line in range(first, first + 50)), sep='\\n', flush=True)"
    )
    told: list[str] = []

    def all_told() -> bool:
        supervisor.tick()
        told.extend(line for _, line in supervisor.new_output())
        if len(told) % 50 == 0:
            supervisor.tick()
            assert not supervisor.new_output()
            (tmp_path / f"go{len(told)}").touch()
        return len(told) >= 300

    until(all_told)
    assert [int(line.split()[0]) for line in told] == list(range(300))
    assert sum(path.stat().st_size for path in (tmp_path / "run" / "log").iterdir()) < 10_000


def test_what_cannot_start_is_told_and_not_tried_again(started: Callable[..., Supervisor]) -> None:
    supervisor = started("import sys; sys.exit('error: expected a GPU, got none')")
    gone: list[object] = []
    until(lambda: gone.extend(supervisor.tick()) or gone)
    (ended,) = gone
    assert (ended.status, ended.last_words) == (1, "error: expected a GPU, got none")  # type: ignore[attr-defined]
    assert supervisor.pids == {}


@pytest.mark.parametrize("form", ["console", "json"])
def test_why_a_worker_did_not_start_is_told_whatever_its_logs_look_like(
    form: str, started: Callable[..., Supervisor]
) -> None:
    supervisor = started(
        "import sys; from gridq.errors import NoGpuError; from gridq.logs.complaint import complain; "
        f"complain(NoGpuError('expected a GPU, got none', hint='plug one in'), {form!r}); sys.exit(69)"
    )
    gone: list[Ended] = []
    until(lambda: gone.extend(supervisor.tick()) or gone)
    error = never_ready(gone[0], "worker p0")
    assert error.message == "worker p0 ended with status 69 before it was ready: expected a GPU, got none"
    assert error.hint == "plug one in"


def test_drain_asks_once_and_nothing_is_started_again(started: Callable[..., Supervisor]) -> None:
    supervisor = started(SLEEP, SLEEP)
    supervisor.keep()
    supervisor.drain()
    gone: list[Ended] = []
    until(lambda: gone.extend(supervisor.tick()) or not supervisor.pids)
    assert sorted(ended.label for ended in gone) == ["p0", "p1"]
    assert supervisor.tick() == [] and not supervisor.pids


def test_stop_leaves_nobody_not_even_a_child_that_will_not_hear(started: Callable[..., Supervisor]) -> None:
    supervisor = started(STUBBORN)
    until(lambda: supervisor.last_words("p0").count("child") == 2)
    pids = {int(word) for word in supervisor.last_words("p0").split() if word.isdigit()} - {0}
    pids |= set(supervisor.pids.values())
    assert len(pids) == 2 and all(map(lives, pids))
    supervisor.stop()
    assert not any(map(lives, pids))
    supervisor.stop()


def test_children_that_outlive_their_parent_end_with_its_group(started: Callable[..., Supervisor]) -> None:
    supervisor = started(STUBBORN)
    until(lambda: supervisor.last_words("p0").count("child") == 2)
    (orphan,) = {int(word) for word in supervisor.last_words("p0").split() if word.isdigit()} - {0}
    os.kill(supervisor.pids["p0"], signal.SIGKILL)
    until(lambda: supervisor.tick())
    assert not lives(orphan)


def test_a_request_to_stop_ends_a_wait_and_is_counted() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        assert not interrupts.wait(0)
        os.kill(os.getpid(), signal.SIGTERM)
        began = time.monotonic()
        assert interrupts.wait(30)
        assert time.monotonic() - began < 5
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.wait(30)
        assert (interrupts.count, interrupts.exit_code) == (2, 130)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_end_of_a_process_is_told_in_words() -> None:
    assert describe(69) == "ended with status 69"
    assert describe(-9) == "was killed by SIGKILL"
    assert describe(-250) == "was killed by signal 250"
