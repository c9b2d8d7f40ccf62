"""`gridq status`: is all well?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from rich.console import Group, RenderableType
from rich.text import Text

from gridq.cli import gpus
from gridq.cli.fleet import Fleet, look
from gridq.cli.look import Column, Row, console, count, emit_json, headed, table
from gridq.cli.session import Session, pass_session

if TYPE_CHECKING:
    from gridq.cli.interrupts import Interrupts

_QUEUES = (
    Column("queue", lambda row: row["name"]),
    Column("waiting", lambda row: str(row["waiting"]), right=True),
    Column("workers that look into it", lambda row: str(row["consumers"]), right=True),
)
_ALWAYS = ("cpu", "gpu")
_REFRESH = 1.0


@click.command(name="status", epilog="Example:  gridq status --watch")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.pass_context
@pass_session
def command(session: Session, context: click.Context, as_json: bool, watch: bool) -> None:
    """Broker, workers, queues, GPUs: is all well?

    Exit status: 0 all is well, 1 something is not (it says what), 2 there is no broker.
    """
    if watch and as_json:
        raise click.UsageError("expected --json or --watch, got both")
    with session.store() as client:
        url = session.broker_url or ""
        if watch:
            from gridq.cli.interrupts import Interrupts

            with Interrupts() as interrupts:
                _watch(lambda: look(client, url), interrupts)
            return
        fleet = look(client, url)
    if as_json:
        emit_json(fleet.to_dict())
    else:
        out = console()
        out.print(render(fleet, out.width))
    context.exit(1 if fleet.problems else 0)


def _watch(take: Callable[[], Fleet], interrupts: Interrupts) -> None:
    from rich.live import Live

    out = console()
    if not out.is_terminal:
        # A pipe wants every picture, not the last one.
        while not interrupts.wait(_REFRESH):
            out.print(render(take(), out.width))
        return
    with Live(console=out, auto_refresh=False, screen=True) as live:
        while True:
            live.update(Group(render(take(), out.width), Text("\nCtrl-C ends this", style="dim")), refresh=True)
            if interrupts.wait(_REFRESH):
                return


def render(fleet: Fleet, width: int) -> RenderableType:
    """The whole listing for a terminal of this width."""
    parts: list[RenderableType] = [headline(fleet.to_dict())]
    if fleet.gpus:
        parts += ["", table(gpus.COLUMNS, fleet.gpus, width)]
    queues = [row for row in fleet.queues if row["waiting"] or row["name"] in _ALWAYS]
    if queues:
        parts += ["", table(_QUEUES, queues, width)]
    parts += ["", *_closing(fleet)]
    return Group(*parts)


def headline(fleet: Row) -> Group:
    """Broker, workers and tasks of the fleet, as `to_dict` has it, on three lines."""
    broker, workers = fleet["broker"], fleet["workers"]
    running = sum(len(row["running"]) for row in workers)
    waiting = sum(row["waiting"] for row in fleet["queues"])
    nodes = len({row["node"] for row in workers})
    tasks = f"{running} running · {waiting} waiting · {fleet['delayed']} delayed"
    where = f"{count(len(workers), 'worker')} on {count(nodes, 'node')}, {count(len(fleet['gpus']), 'GPU')}"
    drained = sum(row["draining"] for row in workers)
    where += f" · {drained} draining" if drained else ""
    return Group(
        headed("broker", f"{broker['url']} · {broker['version']} · {broker['latency'] * 1000:.1f}ms"),
        headed("workers", where),
        headed("tasks", tasks),
    )


def _closing(fleet: Fleet) -> list[RenderableType]:
    if not fleet.problems:
        return [Text("all is well", style="green")]
    lines: list[RenderableType] = [Text(f"! {problem}", style="red") for problem in fleet.problems]
    if not fleet.workers:
        lines.append(Text("hint: gridq up starts the workers of this machine", style="dim"))
    elif any(row["waiting"] and not row["consumers"] for row in fleet.queues):
        hint = "hint: gridq tasks --state waiting says what each lacks, gridq gpus what there is"
        lines.append(Text(hint, style="dim"))
    return lines
