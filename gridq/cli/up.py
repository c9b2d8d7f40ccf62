"""`gridq up`: all of one machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from gridq.broker.server import LocalServer
from gridq.cli import exporter, flower, gpus
from gridq.cli.companions import PAGES, address, companion, dismiss, keep
from gridq.cli.interrupts import Interrupts
from gridq.cli.look import console, count, headed, table
from gridq.cli.machine import (
    TICK,
    StoppedError,
    broker_of,
    commands,
    cpu_slots,
    devices_of,
    drain,
    refuse_twice,
    wait_ready,
)
from gridq.cli.modules import require_modules
from gridq.cli.session import Session, pass_session
from gridq.cli.supervisor import Command, Supervisor
from gridq.config import Settings, mask
from gridq.errors import BrokerError, NoGpuError
from gridq.store.client import Client
from gridq.store.gpus import gpu_rows
from gridq.store.workers import WorkerStatus

_PORT = click.IntRange(1, 65535)


@click.command(name="up", epilog="Example:  gridq up --gpus sim:4x24GiB,2x80GiB --cpu 2")
@click.option(
    "--gpus", "spec", metavar="SPEC", help="auto, nvml, or simulated: sim:4x24GiB. Default: the setting gpus."
)
@click.option(
    "--cpu", type=click.IntRange(0, 1024), help="CPU tasks at a time; 0 for no CPU worker. [default: up to 4]"
)
@click.option(
    "--with", "beside", type=click.Choice(list(PAGES)), multiple=True, help="Start this too; may be repeated."
)
@click.option("--exporter-port", type=_PORT, default=exporter.PORT, show_default=True, help="The exporter's port.")
@click.option("--flower-port", type=_PORT, default=flower.PORT, show_default=True, help="Flower's port.")
@click.option("--verbose", is_flag=True, help="Show what they print.")
@pass_session
def command(
    session: Session, /, spec: str | None, cpu: int | None, beside: Sequence[str], verbose: bool, **ports: int
) -> None:
    """Start all of this machine: a broker if none is configured, a worker per GPU, a CPU worker.

    A worker that dies is started again. Ctrl-C (or SIGTERM) lets running tasks end first; a second one does not.
    """
    settings, beside = session.settings, list(dict.fromkeys(beside))
    spec = spec or settings.gpus
    require_modules(session.app, settings)
    with Interrupts() as interrupts:
        devices = devices_of(spec, settings.runtime_dir)
        slots = cpu_slots() if cpu is None else cpu
        if not devices and not slots:
            raise NoGpuError(
                "expected a GPU or a CPU worker, got neither", hint="--gpus sim:2x24GiB simulates two GPUs"
            )
        out = console()
        level = ("--loglevel", session.log_level) if session.log_level else ()
        workers = commands(session.spec, spec, devices, slots, *level)
        refuse_twice(workers, settings)
        crew = _Crew(
            workers=_supervisor(workers, settings, out),
            beside=_supervisor([companion(name, session, ports[f"{name}_port"]) for name in beside], settings, out),
        )
        with broker_of(session.app, settings) as server, session.store() as client:
            _head(out, session, server, has_gpus=bool(devices))
            for name in beside:
                out.print(headed(name, address(name, ports[f"{name}_port"])))
            _run(client, crew, interrupts, _Screen(out, verbose, server, settings.shown("grace")))


@dataclass(frozen=True, slots=True)
class _Crew:
    """All that `up` has started: the workers, and what it was told to start beside them."""

    workers: Supervisor
    beside: Supervisor

    def start(self) -> None:
        self.workers.start()
        self.beside.start()

    def tick(self) -> None:
        self.workers.tick()
        self.beside.tick()

    def stop(self) -> None:
        self.workers.stop()
        self.beside.stop()


def _supervisor(started: Sequence[Command], settings: Settings, out: Console) -> Supervisor:
    return Supervisor(
        started,
        log_dir=settings.runtime_dir / "log",
        # Said although it is their default: a relative path or an option of ours must mean the same to them.
        environment={"GRIDQ_RUNTIME_DIR": str(settings.runtime_dir)},
        say=lambda line: out.print(line, style="yellow"),
    )


class _Screen:
    """What `up` shows."""

    def __init__(self, out: Console, verbose: bool, server: LocalServer | None, grace: str) -> None:
        self.out = out
        self.grace = grace
        self._verbose = verbose
        self._server = server

    def check_broker(self) -> None:
        """Raise when our own server has died: what waited in it is gone, so going on would hide a loss.

        Raises:
            BrokerError: then.
        """
        if self._server is not None and not self._server.running:
            raise BrokerError("expected the local server to run, it has died", hint="start gridq up again")

    def relay(self, crew: _Crew) -> None:
        """Pass on what was printed."""
        if self._verbose:
            for label, line in [*crew.workers.new_output(), *crew.beside.new_output()]:
                self.out.print(Text.assemble((f"{label:>5} │ ", "dim"), line))

    def starting(self, crew: _Crew, live: Live) -> Callable[[list[WorkerStatus]], None]:
        """A line that counts the workers that are ready."""

        def progress(ready: list[WorkerStatus]) -> None:
            self.relay(crew)
            total = len(crew.workers.labels)
            live.update(Text(f"starting {count(total, 'worker')}: {len(ready)} ready"), refresh=True)

        return progress


def _head(out: Console, session: Session, server: LocalServer | None, *, has_gpus: bool) -> None:
    where = "a local server, gone when this ends" if server else mask(session.broker_url or "")
    out.print(headed("broker", where))
    if not has_gpus:
        out.print("no GPU found; --gpus sim:2x24GiB simulates two", style="yellow")


def _run(client: Client, crew: _Crew, interrupts: Interrupts, screen: _Screen) -> None:
    out, supervisor = screen.out, crew.workers
    try:
        if interrupts.count:
            return
        crew.start()
        with Live(console=out, auto_refresh=False, transient=True) as live:
            ready = wait_ready(client, supervisor, interrupts, screen.starting(crew, live))
        keep(crew.beside)
        supervisor.keep()
        _ready(out, ready)
        while not interrupts.wait(TICK):
            crew.tick()
            screen.relay(crew)
            screen.check_broker()
        out.print(f"stopping: no new tasks; running ones get {screen.grace}, Ctrl-C again stops them now")
        drain(client, supervisor, interrupts, lambda line: out.print(line, style="yellow"))
        dismiss(crew.beside, interrupts)
    except StoppedError:
        out.print("stopped before all was up")
    finally:
        crew.stop()
        screen.relay(crew)
    out.print("stopped")


def _ready(out: Console, ready: list[WorkerStatus]) -> None:
    rows = gpu_rows(ready)
    cpu = sum(worker.slots for worker in ready if not worker.gpus)
    out.print(headed("workers", f"{count(len(rows), 'GPU')}, {count(cpu, 'CPU slot')}"))
    if rows:
        out.print(table(gpus.COLUMNS, rows, out.width))
    out.print("ready: gridq status in another terminal; Ctrl-C here stops", style="green")
