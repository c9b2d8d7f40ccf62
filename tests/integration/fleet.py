"""Real workers on a real broker: started, awaited by what they say in Redis, stopped whatever happens."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import shop
from container import Process, WorkerNode
from ledger import VARIABLE, Ledger

from gridq import config
from gridq.gpu import open_probe
from gridq.gpu.sim import Simulator
from gridq.store import tasks, workers
from gridq.store.workers import WorkerStatus

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
NODE = "node1"
#: Seconds after which what should have happened has not; only a failing test waits so long.
DEADLINE = 30.0


def eventually(condition: Callable[[], Any], what: str, timeout: float = DEADLINE) -> Any:
    """The first true value of a condition that is asked again and again; fails when none comes in time."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.01)
    return pytest.fail(f"not within {timeout:g}s: {what}")


class Fleet:
    """Workers of `shop` on the simulated GPUs of one machine.

    Args:
        database: the broker's database.
        folder: for logs, locks and the ledger.
        gpus: which GPUs are simulated.
        settings: further settings of gridq, by name.
    """

    def __init__(self, database: Any, folder: Path, gpus: str, **settings: str) -> None:
        self.database = database
        self.folder = folder
        self.store = database.client
        self.ledger = Ledger(folder / "ledger")
        self.runtime_dir = folder / "run"
        self.sim = Simulator(self.runtime_dir / "sim")
        self.devices = open_probe(gpus, self.runtime_dir / "sim").devices()
        words = {
            "broker_url": database.url,
            "result_backend": database.results,
            "runtime_dir": str(self.runtime_dir),
            "gpus": gpus,
            "node": NODE,
            "heartbeat": "0.5s",
            "probe_interval": "0.25s",
            "recovery": "0.5s",
            **settings,
        }
        self.variables = {f"GRIDQ_{name.upper()}": value for name, value in words.items()}
        self.app = shop.build(config.load(environ=self.variables))
        self.nodes: list[WorkerNode] = []
        self.others: list[Process] = []

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process of the fleet."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GRIDQ_", "CELERY_"))}
        path = os.pathsep.join([str(HERE), str(REPOSITORY)])
        # A killed process leaves its temporary folder behind.
        own = {"PYTHONPATH": path, "TMPDIR": str(self.folder), VARIABLE: str(self.ledger.path)}
        return clean | self.variables | own

    def run(self, label: str, *arguments: str, **environment: str) -> Process:
        """Start another process of the fleet: `python …`."""
        log = self.folder / f"{label}.log"
        process = Process([sys.executable, *arguments], self.environment | environment, log)
        self.others.append(process)
        return process

    def start_worker(self, name: str, queues: str, *options: str, wait: bool = True) -> WorkerNode:
        """Start `celery -A shop worker -Q …`; it should come to have this name."""
        command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "-Q", queues, "-l", "INFO", *options]
        # Mingling waits a second for answers of other workers, which matters to revokes only.
        command += ["--without-mingle", "--without-gossip"]
        log = self.folder / f"worker{len(self.nodes)}.log"
        node = WorkerNode(Process(command, self.environment, log), self.app, name, queues)
        node.container.is_ready = lambda: self.await_node(node)
        self.nodes.append(node)
        if wait:
            self.await_node(node)
        return node

    def start_gpu_workers(self, count: int, *options: str) -> None:
        """The same command so many times at once. Which GPU each of them took, and its name, it says itself."""
        for _ in range(count):
            self.start_worker("gpu?", "gpu", *options, wait=False)

    @contextmanager
    def at_work(self, count: int, *options: str) -> Iterator[Fleet]:
        """So many idle GPU workers; at the end all that was started in the fleet is stopped, on failure too."""
        try:
            self.start_gpu_workers(count, *options)
            self.await_idle()
            yield self
        finally:
            self.stop()

    def await_node(self, node: WorkerNode) -> bool:
        """Wait until this worker is ready, under whatever name it has then."""
        self.learn_names()
        return self.await_ready(node.worker_name)

    def learn_names(self) -> None:
        """Wait until every running worker has said what it is called."""

        def learn() -> bool:
            names = {status.pid: status.name for status in self.living().values()}
            for node in self.nodes:
                node.called(names.get(node.container.popen.pid, node.worker_name))
            return all(node.container.popen.pid in names for node in self.running())

        eventually(lambda: self._alive() and learn(), f"every worker has a heartbeat\n{self.last_words()}")

    def running(self) -> list[WorkerNode]:
        """The workers whose process lives."""
        return [node for node in self.nodes if node.container.status == "running"]

    def node(self, name: str) -> WorkerNode:
        """The running worker of that name."""
        return next(node for node in self.running() if node.worker_name == name)

    # -- what Redis says

    def living(self) -> dict[str, WorkerStatus]:
        """The living workers by name."""
        return {status.name: status for status in workers.living(self.store)}

    def is_ready(self, name: str) -> bool:
        """Whether a worker has a heartbeat, a verdict to work, and waits for a task."""
        status = self.living().get(name)
        return status is not None and status.takes_work and not status.running and self._is_waiting(name)

    def _is_waiting(self, name: str) -> bool:
        consumers = self.store.command("ZRANGE", f"gridq:ready:{name}", 0, -1)
        return any(self.store.command("EXISTS", f"gridq:consumer:{consumer.decode()}") for consumer in consumers)

    def await_ready(self, *names: str) -> bool:
        """Wait until all of them are ready."""
        for name in names:
            eventually(lambda name=name: self._alive() and self.is_ready(name), f"{name} is ready\n{self.last_words()}")
        return True

    def await_idle(self) -> None:
        """Wait until every worker of the fleet is ready, as at its start."""
        self.learn_names()
        self.await_ready(*(node.worker_name for node in self.running()))

    def await_rested(self) -> None:
        """Wait until nothing is left of the load of earlier tasks: then GPUs differ by their size alone."""

        def rested(name: str) -> bool:
            ranks = self.store.command("ZRANGE", f"gridq:ready:{name}", 0, -1, "WITHSCORES")
            return self.living()[name].score == 0 and all(float(rank) < 1000 for _, rank in ranks)

        self.await_idle()
        for node in self.running():
            eventually(lambda name=node.worker_name: rested(name), f"{node.worker_name} is rested")

    def _alive(self) -> bool:
        ended = [node for node in self.nodes if node.container.status != "running" and not node.container.may_end]
        if ended:
            pytest.fail(f"{ended[0].worker_name} has ended:\n{ended[0].container.logs()[-3000:]}")
        return True

    def last_words(self) -> str:
        """The end of every worker's log."""
        return "\n".join(f"--- {node.worker_name}\n{node.container.logs()[-800:]}" for node in self.nodes)

    def record(self, task_id: str) -> tasks.TaskRecord | None:
        """The record of a task."""
        return tasks.find(self.store, task_id)

    def await_state(self, task_id: str, *states: str) -> tasks.TaskRecord:
        """Wait until a task's record is in one of these states."""

        def found() -> Any:
            record = self.record(task_id)
            return record if record and record.state in states else None

        return eventually(found, f"task {task_id} is {' or '.join(states)}, not {self.record(task_id)}")

    def waiting(self) -> dict[str, int]:
        """How many messages lie in each list of the broker, the empty ones apart."""
        names = [key for key in self.database.names() if not key.startswith(("gridq:", "_kombu", "unacked"))]
        kinds = {name: self.store.redis.type(name) for name in names}
        return {name: self.store.redis.llen(name) for name, kind in kinds.items() if kind == b"list"}

    # -- tasks

    def task(self, name: str) -> Any:
        """A task of the shop, by its name without `shop.`."""
        return self.app.tasks[f"shop.{name}"]

    def results(self, handles: Sequence[Any]) -> list[Any]:
        """What all of them came to."""
        return [handle.get(timeout=DEADLINE) for handle in handles]

    # -- the end

    def stop(self) -> None:
        """End every process, and leave the database empty."""
        for process in [*(node.container for node in self.nodes), *self.others]:
            process.teardown()
        self.app.close()
        self.database.close()
