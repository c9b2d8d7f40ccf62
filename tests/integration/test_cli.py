"""`gridq up` and `gridq demo` as people run them: they come up, they do their work, and they leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

TASKS = """
import time
from pathlib import Path
from gridq import app

@app.task(gpu=True, vram="8GiB")
def train(until=""):
    while not Path(until).exists():
        time.sleep(0.05)
    return "trained"

@app.task
def add(a, b):
    return a + b
"""
SUBMIT = "import mytasks; sent = mytasks.{call}; print(sent.id, flush=True){then}"


class Terminal:
    """A user of one's own: settings, a runtime directory, and whatever processes were started in it.

    Args:
        home: the working directory, in which the tasks lie.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runtime_dir = home / "run"
        self.temp = home / "tmp"
        self.temp.mkdir()
        (home / "mytasks.py").write_text(TASKS)
        repository = str(Path(__file__).parents[2])
        self.environment: Mapping[str, str] = os.environ | {
            "GRIDQ_RUNTIME_DIR": str(self.runtime_dir),
            "GRIDQ_TASKS": "mytasks",
            "GRIDQ_HEARTBEAT": "0.3s",
            "TMPDIR": str(self.temp),
            "PYTHONPATH": os.pathsep.join([str(home), repository]),
            # Whose processes these are, also when their parents are gone: it is inherited.
            "TERMINAL_OF_TEST": str(home),
        }
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on."""
        command = [sys.executable, "-m", "gridq.cli", *arguments]
        process = subprocess.Popen(
            command, cwd=self.home, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._started.append(process)
        return process

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A Python command that ends."""
        arguments = [sys.executable, *command]
        return subprocess.run(
            arguments, cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=60
        )

    def gridq(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A gridq command that ends."""
        return self.run("-m", "gridq.cli", *arguments)

    def ask(self, *commands: str) -> list[subprocess.CompletedProcess[str]]:
        """Several gridq commands side by side, what each of them came to."""
        with ThreadPoolExecutor() as threads:
            return list(threads.map(lambda command: self.gridq(*command.split()), commands))

    def processes(self) -> dict[int, str]:
        """The pid and command line of everything that lives in this terminal."""
        mark, found = f"TERMINAL_OF_TEST={self.home}".encode(), {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                # A zombie has no environment any more.
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def left(self) -> list[str]:
        """Everything that should not be there when all has stopped: processes, temporary files, the address."""
        files = [*self.temp.iterdir(), *self.runtime_dir.glob("broker*"), *self.runtime_dir.glob("server-*")]
        return [*self.processes().values(), *map(str, files)]

    def close(self) -> None:
        """End whatever a failed test left."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def terminal(tmp_path: Path, server: str) -> Iterator[Terminal]:
    """A user of one's own; `server` is asked for only to skip where no broker can be started."""
    made = Terminal(tmp_path)
    yield made
    made.close()


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """What the process prints, up to and with the line that has the word."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if word in line:
            return seen
    raise AssertionError(f"expected a line with {word!r}, got: {seen}")


def until(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """The first true value of the condition, which is asked again and again."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.05)
    return value


def test_up_runs_tasks_answers_questions_and_drains(terminal: Terminal, tmp_path: Path) -> None:
    port, flower = free_port(), free_port()
    beside = ["--with", "exporter", "--exporter-port", str(port), "--with", "flower", "--flower-port", str(flower)]
    up = terminal.start("up", "--gpus", "sim:24GiB", "--cpu", "1", *beside)
    shown = read_until(up, "ready:")
    assert f"exporter http://127.0.0.1:{port}/metrics" in shown
    assert "healthy" in shown and "unknown" not in shown, "it is ready when the GPUs take work"
    status, gpus = terminal.ask("status --json", "gpus --json")
    assert status.returncode == 0, status.stderr
    cluster = json.loads(status.stdout)
    assert cluster["ok"] and len(cluster["workers"]) == 2
    assert "***" in cluster["broker"]["url"]
    (gpu,) = json.loads(gpus.stdout)
    assert (gpu["verdict"], gpu["memory_total"]) == ("healthy", 24 * 2**30)
    secrets = (terminal.runtime_dir / "broker").read_text()
    assert not [line for line in terminal.processes().values() if json.loads(secrets)["url"] in line]

    task_id, result = terminal.run(
        "-c", SUBMIT.format(call="train.delay()", then="; print(sent.get(timeout=20))")
    ).stdout.split()
    assert result == "trained"
    answer = until(lambda: (now := _explained(terminal, task_id))["state"] == "done" and now)
    assert answer["worker"] == gpu["worker"]
    assert "came first" in answer["why"]
    _is_shown_to_prometheus(terminal, port)
    with urllib.request.urlopen(f"http://127.0.0.1:{flower}/gpus?json=1", timeout=20) as page:
        assert json.load(page)["gpus"][0]["uuid"] == gpu["uuid"]

    _mount(tmp_path)
    mounted = terminal.run("-m", "celery", "-A", "gridq", "gridq", "health", "--json")
    assert json.loads(mounted.stdout)[0]["gpus"] == 1, mounted.stderr

    enough = tmp_path / "enough"
    last = terminal.run("-c", SUBMIT.format(call=f"train.delay({str(enough)!r})", then="")).stdout.strip()
    until(lambda: _explained(terminal, last)["state"] == "running")
    up.send_signal(signal.SIGTERM)
    read_until(up, "waiting for 1 running task")
    enough.touch()
    assert up.wait(20) == 0
    assert terminal.left() == []


def _explained(terminal: Terminal, task_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(terminal.gridq("explain", task_id, "--json").stdout)
    return answer


def _is_shown_to_prometheus(terminal: Terminal, port: int) -> None:
    """The one task that has ended so far, by the exporter that `up` started and by the command."""
    ended = 'gridq_tasks_completed_total{outcome="done",task="mytasks.train"} 1.0'
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        assert ended in answer.read().decode()
    printed, listed, second, unknown = terminal.ask(
        "metrics", "metrics --json", f"exporter --port {port}", "explain nobody"
    )
    assert printed.returncode == 0 and ended in printed.stdout
    families = {family["name"]: family for family in json.loads(listed.stdout)}
    (sample,) = families["gridq_claims_total"]["samples"]
    assert sample == {"name": "gridq_claims_total", "labels": {}, "value": 1}
    assert (second.returncode, unknown.returncode) == (1, 1)
    assert f"a free port, got 127.0.0.1 port {port}" in second.stderr and "hint:" in second.stderr


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _mount(folder: Path) -> None:
    """What an installed package has: an entry point that Celery finds on its path."""
    info = folder / "gridq_mounted-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gridq-mounted\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[celery.commands]\ngridq = gridq.cli:celery_command\n")


def test_a_worker_that_dies_is_started_again_and_the_death_of_up_is_that_of_all(terminal: Terminal) -> None:
    up = terminal.start("--log-level", "debug", "up", "--gpus", "sim:24GiB", "--cpu", "0")
    read_until(up, "ready:")
    assert "[debug   ] gpu0@" in (terminal.runtime_dir / "log" / "gpu0.log").read_text()
    first = _gpu_worker(terminal)
    os.kill(first, signal.SIGKILL)
    read_until(up, "gpu0 was killed by SIGKILL; starting it again in 1s")
    until(lambda: _gpu_worker(terminal) not in (0, first))
    up.send_signal(signal.SIGKILL)
    up.wait()
    until(lambda: not terminal.processes())
    # The address of a dead process is nobody's address.
    assert terminal.gridq("status").returncode == 2


def test_a_second_up_on_the_same_machine_says_who_runs_there_and_leaves_it_alone(terminal: Terminal) -> None:
    up = terminal.start("up", "--gpus", "sim:24GiB", "--cpu", "0")
    read_until(up, "ready:")
    printed = (terminal.runtime_dir / "log" / "gpu0.log").read_text()
    second = terminal.gridq("up", "--gpus", "sim:80GiB,80GiB", "--cpu", "1")
    assert second.returncode == 1 and second.stdout == ""
    assert f"but gridq up runs here already (pid {up.pid}) with gpu0@" in second.stderr
    assert f"`kill {up.pid}`" in second.stderr
    assert (terminal.runtime_dir / "log" / "gpu0.log").read_text().startswith(printed)
    up.send_signal(signal.SIGTERM)
    assert up.wait(20) == 0


def _gpu_worker(terminal: Terminal) -> int:
    """The pid of the worker itself, which is older than its children; 0 for none."""
    return min((pid for pid, line in terminal.processes().items() if "gridq.cli.leashed" in line), default=0)


def test_a_worker_that_cannot_start_ends_up_with_its_reason(terminal: Terminal) -> None:
    (terminal.home / "mytasks.py").write_text("import no_such_module\n")
    up = terminal.start("up", "--gpus", "sim:24GiB", "--cpu", "0")
    output, _ = up.communicate(timeout=30)
    assert up.returncode == 1
    assert "error: worker gpu0" in output and "no_such_module" in output
    assert terminal.left() == []


def test_the_demo_finds_the_record_and_leaves_nothing(terminal: Terminal) -> None:
    demo = terminal.start("demo", "--gpus", "sim:24GiB,80GiB", "--limit", "100000")
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, output
    assert "77,031 with 350 steps" in output and "GRIDQ_BROKER_URL" not in output
    assert terminal.left() == []


def test_on_a_terminal_the_demo_ends_with_a_table_of_what_was_done(terminal: Terminal) -> None:
    terminal.environment = {
        **terminal.environment,
        **{"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100", "GRIDQ_BROKER_URL": "redis://127.0.0.1:1/0"},
    }
    demo = terminal.start("demo", "--gpus", "sim:24GiB", "--limit", "100000")
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, output
    assert output.count("GRIDQ_BROKER_URL is not used: the demo has a broker of its own") == 1
    assert "memory" in output and "searches" in output
    last = output.rpartition("the longest Collatz chain below")[2]
    assert "verdict" in last and "memory" not in last and "searches" not in last
    assert "\x1b[32m" + "█" * 40 in last


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "starting"), (signal.SIGTERM, "starting"), (signal.SIGTERM, "workers ready")]
)
def test_a_demo_that_is_stopped_in_the_midst_leaves_nothing(
    terminal: Terminal, number: signal.Signals, moment: str
) -> None:
    demo = terminal.start("demo", "--gpus", "sim:24GiB", "--limit", "300000000")
    read_until(demo, moment)
    demo.send_signal(number)
    output, _ = demo.communicate(timeout=20)
    assert demo.returncode == 128 + number, output
    assert terminal.left() == []
