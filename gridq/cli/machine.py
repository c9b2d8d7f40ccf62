"""One machine's broker and workers, as `up` and `demo` start them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gridq.broker.address import find_address, find_publisher, publish_address, withdraw_address
from gridq.broker.server import LocalServer
from gridq.cli.interrupts import Interrupts
from gridq.cli.supervisor import Command, Ended, Supervisor, describe, leashed
from gridq.config import Settings, default_backend
from gridq.errors import GridqError
from gridq.gpu import open_probe
from gridq.gpu.device import Device
from gridq.gpu.health import State
from gridq.queues import CPU, GPU
from gridq.store import workers
from gridq.store.client import Client, ServerError
from gridq.store.keys import READY
from gridq.store.workers import WorkerStatus
from gridq.worker.place import is_taken

#: Seconds between two looks at the processes, and the most that a worker's start may take on a slow machine.
TICK = 0.1
START_DEADLINE = 120.0
#: Seconds between the first heartbeat of the last worker and its first look for a task, at most.
SETTLING = 5.0
_MOST_CPU_SLOTS = 4


class StoppedError(Exception):
    """Someone asked to stop before all was up."""


@contextmanager
def local_broker(runtime_dir: Path) -> Iterator[LocalServer]:
    """A server of one's own, announced to this user's other commands while the block runs.

    Raises:
        BrokerError: when none can be started.
    """
    server = LocalServer(runtime_dir)
    try:
        server.start()
        publish_address(runtime_dir, server.url)
        yield server
    finally:
        # First the address: who finds it must find a server.
        withdraw_address(runtime_dir)
        server.stop()


@contextmanager
def broker_of(app: Any, settings: Settings) -> Iterator[LocalServer | None]:
    """The app's broker, for which nothing is done, or a local server if it has none."""
    if app.conf.broker_url or find_address(settings.runtime_dir):
        yield None
        return
    with local_broker(settings.runtime_dir) as server:
        app.conf.broker_url = server.url
        app.conf.result_backend = app.conf.result_backend or default_backend(server.url)
        yield server


def refuse_twice(workers: Sequence[Command], settings: Settings) -> None:
    """Raise where a `gridq up` of this user runs these workers already; they would end one by one, seconds later.

    Raises:
        GridqError: then.
    """
    pid = find_publisher(settings.runtime_dir)
    names = [f"{worker.label}@{settings.node}" for worker in workers]
    taken = [name for name in names if is_taken(name, settings.runtime_dir)] if pid else []
    if taken:
        raise GridqError(
            f"expected to start {', '.join(names)}, but gridq up runs here already (pid {pid}) with {', '.join(taken)}",
            hint=f"gridq status shows it; Ctrl-C there or `kill {pid}` ends it",
        )


def devices_of(spec: str, runtime_dir: Path) -> list[Device]:
    """The GPUs that a probe spec names."""
    probe = open_probe(spec, runtime_dir / "sim")
    try:
        return probe.devices()
    finally:
        probe.close()


def cpu_slots() -> int:
    """How many CPU tasks run at a time by default: the cores that we may use, but few."""
    # A container may be given fewer cores than the machine has.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST_CPU_SLOTS, usable)


def commands(app: str, spec: str, devices: Sequence[Device], cpu: int, *extra: str) -> list[Command]:
    """A worker per GPU and one for the CPU, all named by gridq."""
    common = ("--loglevel", "INFO", "--without-gossip", *extra)
    gpu = [
        leashed(
            f"gpu{one.index}", "celery", "-A", app, "worker", "-Q", GPU, "--probe", spec, "--gpu", one.uuid, *common
        )
        for one in devices
    ]
    if not cpu:
        return gpu
    return [*gpu, leashed("cpu", "celery", "-A", app, "worker", "-Q", CPU, "--concurrency", str(cpu), *common)]


def wait_ready(
    client: Client, supervisor: Supervisor, interrupts: Interrupts, progress: Callable[[list[WorkerStatus]], None]
) -> list[WorkerStatus]:
    """Wait until every worker has sent a heartbeat, has read its GPUs and looks for tasks.

    Raises:
        StoppedError: when someone asked to stop.
        GridqError: when a worker ended, or the deadline passed.
    """
    end = time.monotonic() + START_DEADLINE
    settled = float("inf")
    while not interrupts.wait(TICK):
        if gone := supervisor.tick():
            raise never_ready(gone[0], f"worker {gone[0].label}")
        ours = living_of(client, supervisor)
        progress(ours)
        if len(ours) == len(supervisor.labels):
            # A GPU that hangs must not keep the others waiting; its verdict says what it does.
            settled = min(settled, time.monotonic() + SETTLING)
            if time.monotonic() > settled or all(looks_for_work(client, worker) for worker in ours):
                return ours
        if time.monotonic() > end:
            raise _never_heard(supervisor, ours)
    raise StoppedError


def looks_for_work(client: Client, worker: WorkerStatus) -> bool:
    """Whether the worker has begun to look for tasks, or is kept from it by a sick GPU."""
    # Before its first verdict a GPU is unknown too; one that stays so must not keep the others waiting for long.
    if any(gpu.reading is None or gpu.verdict.state is State.UNKNOWN for gpu in worker.gpus):
        return False
    return bool(worker.running) or not worker.takes_work or bool(client.command("ZCARD", READY + worker.name))


def living_of(client: Client, supervisor: Supervisor) -> list[WorkerStatus]:
    """The living workers that the supervisor started."""
    pids = set(supervisor.pids.values())
    return [worker for worker in workers.living(client) if worker.pid in pids]


def _never_heard(supervisor: Supervisor, ready: Sequence[WorkerStatus]) -> GridqError:
    pids = {worker.pid for worker in ready}
    silent = [label for label, pid in supervisor.pids.items() if pid not in pids]
    words = "\n".join(f"{label}: {supervisor.last_words(label)}" for label in silent)
    return GridqError(
        f"expected {len(supervisor.labels)} workers within {START_DEADLINE:g}s, no heartbeat came from:\n{words}",
        hint="is the machine overloaded? gridq up --verbose shows all that they say",
    )


def never_ready(ended: Ended, what: str) -> GridqError:
    """The error for a process that ended at its start; `what` people call it."""
    # What a process of ours says before it gives up is an error and a hint of its own.
    told, _, hint = ended.last_words.rpartition("error: ")[2].partition("\nhint: ")
    return GridqError(
        f"{what} {describe(ended.status)} before it was ready: {told or 'it said nothing'}",
        hint=hint or f"all that it said is in {ended.log}",
    )


def drain(client: Client, supervisor: Supervisor, interrupts: Interrupts, say: Callable[[str], None]) -> None:
    """Let running tasks end, then the workers; another request to stop ends them at once.

    Call `supervisor.stop()` afterwards, which ends by force what is left.
    """
    patience = interrupts.count + 1
    supervisor.drain()
    told = -1
    while supervisor.pids and interrupts.count < patience:
        supervisor.tick()
        running = _running(client, supervisor)
        if running and running != told:
            say(f"waiting for {running} running task{'' if running == 1 else 's'}; Ctrl-C again stops them now")
            told = running
        interrupts.wait(TICK)
    if supervisor.pids:
        supervisor.quit()
        end = time.monotonic() + 5.0
        while supervisor.pids and time.monotonic() < end and interrupts.count < patience + 1:
            supervisor.tick()
            interrupts.wait(TICK)


def _running(client: Client, supervisor: Supervisor) -> int:
    try:
        return sum(len(worker.running) for worker in living_of(client, supervisor))
    except (ServerError, OSError):
        return 0
