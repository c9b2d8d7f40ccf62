"""`gridq top` with a real fleet: keys really cancel and drain, and a broker that hangs does not freeze the screen."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet import DEADLINE, Fleet, eventually
from textual.pilot import Pilot
from textual.widgets import Static

from gridq.broker.server import LocalServer
from gridq.cli.session import Session
from gridq.cli.top import acts, picture
from gridq.cli.top.app import Top
from gridq.cli.top.dialogs import Details
from gridq.cli.top.grid import Grid

Play = Callable[[Pilot[None], Top], Awaitable[None]]


def played(session: Session, play: Play) -> None:
    """Play on a terminal of 80 by 24."""

    async def run() -> None:
        with session.store() as client:
            first = picture.take(client)
        app = Top(session, first)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            await play(pilot, app)

    asyncio.run(run())


async def until(pilot: Pilot[None], condition: Callable[[], Any], what: str) -> Any:
    """Let the screen go on until the condition holds."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, f"not in time: {what}"
        await pilot.pause(0.02)
    return value


async def select(pilot: Pilot[None], app: Top, name: str, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Go to a row of a table with the arrow keys."""
    grid = app.screen_stack[0].query_one(f"#{name}", Grid)
    grid.focus()
    await pilot.press("home")
    for _ in range(grid.row_count):
        if grid.chosen is not None and wanted(grid.chosen):
            return
        await pilot.press("down")
    pytest.fail(f"no such row in {name}")


def test_keys_cancel_what_waits_and_what_runs(grid: Fleet, signal_file: Path) -> None:
    running = grid.task("wait_for").apply_async((str(signal_file),), vram="70GiB")
    record = grid.await_state(running.id, "running")
    waiting = grid.task("work").apply_async(vram="70GiB")

    async def play(pilot: Pilot[None], app: Top) -> None:
        await select(pilot, app, "tasks", lambda row: row["id"] == waiting.id)
        await pilot.press("c", "n")
        assert grid.record(waiting.id).state == "waiting"
        await pilot.press("c", "y")
        await until(pilot, lambda: grid.record(waiting.id).state == "cancelled", "the waiting task is cancelled")
        await select(pilot, app, "gpus", lambda row: row["worker"] == record.worker)
        await pilot.press("c", "y")
        await until(pilot, lambda: grid.record(running.id).state == "cancelled", "the running task is cancelled")
        await until(pilot, lambda: not app.screen_stack[0].query_one("#gpus", Grid).chosen["tasks"], "the GPU is free")

    played(Session("shop", grid.app), play)


def test_keys_drain_a_worker_and_let_it_take_tasks_again(grid: Fleet) -> None:
    async def play(pilot: Pilot[None], app: Top) -> None:
        table = app.screen_stack[0].query_one("#gpus", Grid)
        await select(pilot, app, "gpus", lambda row: row["index"] == 1)
        name = table.chosen["worker"]
        await pilot.press("d", "y")
        await until(pilot, lambda: grid.living()[name].shut, "the worker knows")
        await until(pilot, lambda: table.chosen["draining"], "the screen shows it")
        assert table.chosen["worker"] == name
        await pilot.press("d", "y")
        await until(pilot, lambda: not grid.living()[name].draining and not table.chosen["draining"], "undrained")

    try:
        played(Session("shop", grid.app), play)
    finally:
        grid.store.command("DEL", "gridq:drains")


def test_enter_shows_all_of_a_task_with_its_traceback(grid: Fleet) -> None:
    handle = grid.task("broken").delay()
    grid.await_state(handle.id, "failed")

    async def play(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("t", "t")
        table = app.screen_stack[0].query_one("#tasks", Grid)
        ended = lambda: any(row["id"] == handle.id for row in table.listed)  # noqa: E731
        await until(pilot, ended, "what has ended is listed")
        await select(pilot, app, "tasks", lambda row: row["id"] == handle.id)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Details), "all of it comes up")
        content = app.screen.query_one("#content", Static)
        await until(pilot, lambda: "raise ValueError" in _plain(content), "the traceback is there")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Details), "it is closed")

    played(Session("shop", grid.app), play)


def _plain(content: Static) -> str:
    from gridq.cli.look import console

    out = console()
    with out.capture() as seen:
        out.print(content.content)
    return seen.get()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[LocalServer]:
    """A broker that may be stopped and continued."""
    running = LocalServer(tmp_path / "own").start()
    yield running
    running.stop()


def test_a_broker_that_hangs_freezes_nothing_and_is_heard_again(
    own_server: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRIDQ_BROKER_URL", own_server.url)
    # Half of it is how long the feed waits for an answer.
    monkeypatch.setenv("GRIDQ_LEASE", "60s")
    monkeypatch.setattr(acts, "STALE", 1.5)
    monkeypatch.chdir(tmp_path)
    import gridq.application

    app_of_own = gridq.application.build()
    pid = own_server.pid

    async def play(pilot: Pilot[None], app: Top) -> None:
        os.kill(pid, signal.SIGSTOP)
        try:
            await until(pilot, lambda: app.screen.has_class("stale"), "the banner is there")
            await pilot.press("s")
            await until(pilot, lambda: "by memory" in str(app.query_one("#gpus-title", Static).content), "it is sorted")
            # The feed still waits for its answer: nothing of this waited with it.
            assert "has not answered yet" in str(app.query_one("#banner", Static).content)
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(pilot, lambda: not app.screen.has_class("stale"), "it is heard again")

    played(Session("gridq", app_of_own), play)


class Tmux:
    """A terminal of that size in which a command runs."""

    def __init__(self, command: str, environment: dict[str, str], size: tuple[int, int]) -> None:
        self._name = f"gridq-test-{uuid.uuid4().hex[:8]}"
        width, height = map(str, size)
        self._tmux("new-session", "-d", "-x", width, "-y", height, command, env=environment)

    def _tmux(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(["tmux", "-L", self._name, *arguments], env=env, capture_output=True, text=True)
        return done.stdout

    def press(self, key: str) -> None:
        """Press a key."""
        self._tmux("send-keys", key)

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size."""
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def screen(self) -> list[str]:
        """What is on it, line by line."""
        return self._tmux("capture-pane", "-p").splitlines()

    def shows(self, *words: str) -> bool:
        """Whether all of these are on it."""
        text = "\n".join(self.screen())
        return all(word in text for word in words)

    def close(self) -> None:
        """End it, and what runs in it."""
        self._tmux("kill-server")


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_in_a_real_terminal_it_fits_80_by_24_follows_a_resize_and_ends_with_q(
    grid: Fleet, signal_file: Path, tmp_path: Path
) -> None:
    running = grid.task("wait_for").apply_async((str(signal_file),), vram="70GiB")
    grid.await_state(running.id, "running")
    waiting = grid.task("work").apply_async(vram="70GiB")
    command = f"{sys.executable} -m gridq.cli -A shop top; echo ended with $? > {tmp_path}/end"
    terminal = Tmux(command, grid.environment | {"TERM": "xterm-256color"}, (80, 24))
    try:
        eventually(lambda: terminal.shows("4 GPUs on 1 node", "wait_for for", "q quit"), "the screen is drawn")
        lines = terminal.screen()
        assert len(lines) == 24 and max(map(len, lines)) <= 80
        # That the GPU is busy comes with the heartbeat after the claim.
        words = ("gpu3@node1", "healthy", waiting.id[:8], "is busy: 1 of 1 slot taken")
        eventually(lambda: terminal.shows(*words), "the GPU, and why the task waits")
        assert not terminal.shows("sim 80GiB")
        terminal.resize(120, 40)
        eventually(lambda: terminal.shows("sim 80GiB", waiting.id), "the wider screen shows more")
        terminal.resize(80, 24)
        eventually(lambda: not terminal.shows("sim 80GiB") and terminal.shows("q quit"), "the narrow one less")
        terminal.press("q")
        eventually((tmp_path / "end").exists, "it has ended")
        assert (tmp_path / "end").read_text() == "ended with 0\n"
    finally:
        terminal.close()
    signal_file.touch()
    grid.results([running, waiting])


def test_in_a_pipe_it_prints_one_look(grid: Fleet) -> None:
    command = [sys.executable, "-m", "gridq.cli", "-A", "shop", "top"]
    done = subprocess.run(command, env=grid.environment, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert "4 GPUs on 1 node" in done.stdout and "\x1b" not in done.stdout
    assert done.stdout.count("healthy") >= 4
