"""A real Prometheus with the project's rules watches what `gridq up` started, through the real exporter."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from container import Process
from fleet import NODE, Fleet, eventually
from prometheus import DEPLOY, Prometheus, free_port

from gridq.errors import NoGpuError
from gridq.gpu.lock import GpuLock, take

UP = ("-m", "gridq.cli", "-A", "shop", "up", "--cpu", "1")
LOST = "GridqWorkerLost"
#: Where nothing has gone wrong there is nothing to show.
MAY_BE_EMPTY = {
    "fleet: Alerts that fire",
    "fleet: Lost and done again",
    "fleet: Waiting by queue",
    "gpu: Uncorrected memory errors (ECC)",
    "gpu: XID errors",
    "tasks: Failures",
    "tasks: Queued again",
    "tasks: Retried",
    "tasks: Waiting",
}


@dataclass(frozen=True)
class Watched:
    """A machine with a GPU worker and a CPU worker, and who watches it."""

    fleet: Fleet
    prometheus: Prometheus
    processes: dict[str, Process]

    @property
    def worker(self) -> str:
        """The GPU worker's name."""
        return f"gpu0@{NODE}"

    def take_gpu(self) -> GpuLock | None:
        """The lock of the only GPU, when nobody has it."""
        try:
            return take(self.fleet.devices, self.fleet.runtime_dir / "locks")
        except NoGpuError:
            return None

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """The first true value of a condition; when none comes, the failure has the end of everybody's output."""
        try:
            return eventually(condition, what)
        except pytest.fail.Exception as failure:
            outputs = [f"--- {name}\n{process.logs()[-1500:]}" for name, process in self.processes.items()]
            return pytest.fail("\n".join([str(failure), *outputs]))

    def until_seen(self, expression: str) -> None:
        """Wait until the expression has a series."""
        self.until(lambda: self.prometheus.query(expression), expression)

    def until_gone(self, expression: str) -> None:
        """Wait until the expression has no series."""
        self.until(lambda: not self.prometheus.query(expression), f"no {expression}")


@pytest.fixture(scope="module")
def watched(
    program: Callable[[str], str], new_fleet: Callable[..., Fleet], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    """All of it, up and scraped."""
    prometheus_program, port = program("prometheus"), free_port()
    fleet = new_fleet("sim:24GiB", heartbeat="0.3s", lease="2s")
    try:
        prometheus = Prometheus(tmp_path_factory.mktemp("prometheus") / "server", port)
        processes = {
            "up": fleet.run("up", *UP, "--with", "exporter", "--exporter-port", str(port)),
            "prometheus": prometheus.start(prometheus_program),
        }
        fleet.others.append(processes["prometheus"])
        made = Watched(fleet, prometheus, processes)
        made.until(prometheus.is_ready, "Prometheus answers")
        made.until_seen("count(gridq_worker_info) == 2")
        yield made
    finally:
        fleet.stop()


def test_a_worker_that_is_told_to_stop_is_not_lost(watched: Watched) -> None:
    extra = watched.fleet.start_worker(f"extra@{NODE}", "cpu", "-n", f"extra@{NODE}", "-c", "1")
    seen = f'gridq_worker_info{{worker="{extra.worker_name}"}}'
    watched.until_seen(seen)
    extra.container.may_end = True
    extra.container.popen.send_signal(signal.SIGTERM)
    extra.container.wait()
    # The rule looks back by two seconds; what it has not taken for lost by then it never will.
    watched.until_gone(seen)
    watched.until_seen(f"{seen} offset 2s")
    watched.until_gone(f"{seen} offset 2s")
    assert watched.prometheus.query("last_over_time(gridq:worker_lost[1m])") == []


def test_a_worker_that_is_killed_is_told_by_name_and_forgotten_when_it_is_back(watched: Watched) -> None:
    watched.until(lambda: not watched.prometheus.firing(), "nothing is wrong at first")
    os.kill(watched.fleet.living()[watched.worker].pid, signal.SIGKILL)
    # While somebody else holds its GPU, the worker cannot start again.
    with watched.until(watched.take_gpu, "the GPU is free"):
        (labels,) = watched.until(lambda: watched.prometheus.firing().get(LOST), f"{LOST} fires")
        assert (labels["worker"], labels["node"], labels["severity"]) == (watched.worker, NODE, "critical")
        assert watched.worker not in watched.fleet.living()
    watched.until(lambda: LOST not in watched.prometheus.firing(), f"{LOST} is silent")
    assert watched.worker in watched.fleet.living()


def test_rules_and_dashboards_are_understood_and_show_what_the_fleet_does(watched: Watched) -> None:
    # Of a counter that it has not seen before, Prometheus does not know that it has grown.
    for seen in ("gridq_tasks_completed_total", "gridq:tasks_completed:increase15m"):
        watched.fleet.results([watched.fleet.task("work").apply_async(vram="1GiB") for _ in range(5)])
        watched.until_seen(f'{seen}{{task="shop.work", outcome="done"}} > 0')

    def dark() -> set[str]:
        return {title for title, expression in panels() if not watched.prometheus.query(expression)} - MAY_BE_EMPTY

    watched.until(lambda: not dark(), f"every panel shows something, also {', '.join(sorted(dark()))}")
    assert watched.prometheus.troubles() == []


def panels() -> Iterator[tuple[str, str]]:
    """Title and expression of whatever the dashboards show, as Grafana asks it of this fleet."""
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            for target in panel.get("targets", []):
                filled = target["expr"].replace("$job", "gridq").replace("$__rate_interval", "10s")
                yield f"{path.stem}: {panel['title']}", re.sub(r"\$\w+", ".*", filled)
