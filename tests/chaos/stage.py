"""What a scenario is played on: a Redis, workers of one side on one or more nodes, and an outside ledger."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis

from .ledger import Ledger
from .processes import Process
from .servers import Server
from .sides import CELERY, QUIET, Access, Setting, Side

#: The node of workers that run beside the harness.
HERE = "node1"
START_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things last, in seconds: the short form for the tests, the long one for measuring.

    Attributes:
        lease: of gridq's workers.
        heartbeat: of gridq's workers.
        short: whether this is the short form.
    """

    lease: float
    heartbeat: float
    short: bool

    def pick(self, short: Any, long: Any) -> Any:
        """One value for each form."""
        return short if self.short else long


SHORT = Timing(lease=2.0, heartbeat=0.4, short=True)
LONG = Timing(lease=10.0, heartbeat=2.0, short=False)


def until(condition: Callable[[], Any], what: str, patience: float = START_PATIENCE) -> Any:
    """The first true value of a condition that is asked again and again.

    Raises:
        TimeoutError: when none comes in time.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise TimeoutError(f"not within {patience:g}s: {what}")


class Worker:
    """One worker of a stage.

    Args:
        number: which GPU of its node it takes.
        node: the node's name.
        process: its process.
    """

    def __init__(self, number: int, node: str, process: Process) -> None:
        self.number = number
        self.node = node
        self.process = process

    @property
    def holders(self) -> frozenset[int]:
        """Its process and all that belongs to it."""
        return frozenset(self.process.everyone()) | {self.process.pid}


class Stage:
    """Everything that a scenario needs, and its end.

    Args:
        side: gridq or stock Celery.
        timing: which form.
        visibility: stock Celery's visibility timeout, None for its default.
        gpus: simulated GPUs of each node.
        keeping: how the server keeps its data.
    """

    def __init__(
        self,
        side: Side,
        timing: Timing,
        *,
        visibility: float | None = None,
        gpus: int = 3,
        keeping: str = "everysec",
    ) -> None:
        self.side = side
        self.timing = timing
        self.folder = Path(tempfile.mkdtemp(prefix="gridq-chaos-"))
        self._ending = ExitStack()
        self._ending.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.server = Server(self.folder / "redis", keeping=keeping)
        self.setting = Setting(
            Access(self.server.url + "/0", self.server.url + "/1"),
            self.folder,
            timing.lease,
            timing.heartbeat,
            visibility,
            gpus,
        )
        self.workers: list[Worker] = []
        self.begun = False
        #: Makes a client of the broker's database, whatever server that is.
        self.client: Callable[[], redis.Redis] = self.server.client

    def begin(self, access: Access | None = None) -> None:
        """Start the server, or take one that somebody else runs.

        Args:
            access: how to reach the other one.
        """
        if access is None:
            self._ending.callback(self.server.stop)
            self.server.start()
        else:
            self.setting = replace(self.setting, access=access)
        self.begun = True
        self.ledger = Ledger(self.setting.ledger)
        self.app = self.side.app(self.setting)
        self._ending.callback(self.app.close)

    def begin_bound(self, address: str) -> None:
        """Start the server on this address instead, which exists only by now."""
        self.server = Server(self.folder / "bound", bind=address, keeping=self.server.keeping)
        self.client = self.server.client
        self.setting = replace(self.setting, access=Access(self.server.url + "/0", self.server.url + "/1"))
        self.begin()

    def at_end(self, callback: Callable[..., Any], *arguments: Any) -> None:
        """Call this when the stage ends; the latest first."""
        self._ending.callback(callback, *arguments)

    def start_worker(self, number: int, node: str = HERE, wrap: tuple[str, ...] = ()) -> Worker:
        """Start a worker without waiting for it.

        Args:
            number: which GPU of its node it takes.
            node: its node's name.
            wrap: command that runs it elsewhere, `ip netns exec …`.
        """
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GRIDQ_", "CELERY_"))}
        # A killed process leaves its temporary folder behind.
        environment = clean | {"TMPDIR": str(self.folder)} | self.side.environment(self.setting, node)
        log = self.folder / f"{node}-{number}-{len(self.workers)}.log"
        process = Process([*wrap, *CELERY, *self.side.worker(number, node), *QUIET], log, environment)
        self._ending.callback(process.stop)
        worker = Worker(number, node, process)
        self.workers.append(worker)
        return worker

    def ensure(self, count: int) -> list[Worker]:
        """Have so many living workers on this machine, ready for work."""
        living = {worker.number: worker for worker in self.living() if worker.node == HERE}
        for number in range(count):
            if number not in living:
                living[number] = self.start_worker(number)
        ready = [living[number] for number in range(count)]
        self.await_ready(ready)
        return ready

    def await_ready(self, workers: list[Worker]) -> None:
        """Wait until they say that they are ready."""
        for worker in workers:
            process = worker.process
            until(lambda process=process: process.said(" ready.") or not process.lives, "a worker is ready")
            if not process.lives:
                raise RuntimeError(f"a worker has ended:\n{process.last_words()}")

    def living(self) -> list[Worker]:
        """The workers whose process has not ended."""
        return [worker for worker in self.workers if worker.process.lives]

    def simulator(self, node: str = HERE) -> Any:
        """Changes the simulated GPUs of a node."""
        from gridq.gpu.sim import Simulator

        return Simulator(self.folder / f"run-{node}" / "sim")

    def last_words(self) -> str:
        """The end of every worker's output."""
        if not self.workers:
            return "no worker"
        return "\n".join(f"--- {worker.process.log.name}\n{worker.process.last_words()}" for worker in self.workers)

    def end(self) -> None:
        """Stop everything and leave nothing behind. Calling it twice is fine."""
        for worker in self.living():
            worker.process.signal_everyone(signal.SIGCONT)  # For whom a scenario left frozen.
        self._ending.close()
