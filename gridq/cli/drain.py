"""`gridq drain NAME…`: let workers or nodes finish what they run, and take no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from gridq.cli.look import Row, console, count, emit_json
from gridq.cli.options import seconds
from gridq.cli.session import Session, pass_session
from gridq.errors import GridqError, suggestion
from gridq.units import format_seconds

if TYPE_CHECKING:
    from gridq.store.client import Client
    from gridq.store.workers import WorkerStatus

_LOOK = 0.2


@click.command(name="drain", epilog="Example:  gridq drain node1 --deadline 10m --wait")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--deadline",
    metavar="TIME",
    callback=seconds,
    help="What still runs then is ended and goes back to its queue: 10m.",
)
@click.option("--wait", is_flag=True, help="Wait until nothing runs there any more.")
@click.option("--unseen", is_flag=True, help="Also a worker or a node that is away: it is drained when it comes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(
    session: Session, names: tuple[str, ...], deadline: float | None, wait: bool, unseen: bool, as_json: bool
) -> None:
    """Let workers (gpu0@node1) or whole nodes (node1) finish what they run, and take no more.

    What had been placed on them goes elsewhere. It holds until `gridq undrain`, also through restarts of the workers.
    """
    from gridq.store import workers

    with session.store() as client:
        if not unseen:
            check_names(names, workers.living(client))
        rows = drain(client, names, deadline)
        if as_json and not wait:
            emit_json(rows)
            return
        for row in rows:
            console(stderr=as_json).print(sentence(row))
        if wait:
            click.get_current_context().exit(_wait(client, names, as_json=as_json))


def check_names(names: Iterable[str], living: Sequence[WorkerStatus]) -> None:
    """Refuse what is neither a living worker nor the node of one.

    Raises:
        GridqError: then, with the nearest name.
    """
    known = sorted({worker.name for worker in living} | {worker.node for worker in living})
    for name in names:
        if name not in known:
            hint = suggestion(name, known) or f"there are {', '.join(known) or 'no workers'}"
            raise GridqError(
                f"expected a living worker or its node, got {name!r}", hint=f"{hint} (--unseen takes one that is away)"
            )


def drain(client: Client, names: Sequence[str], deadline: float | None = None) -> list[Row]:
    """Let workers or nodes take no more tasks; one row for each, as of then.

    Args:
        deadline: seconds after which what still runs there is ended and goes back; None for never.
    """
    from gridq.store import drains

    for name in names:
        drains.drain(client, name, deadline)
    return drain_rows(client, names)


def drain_rows(client: Client, names: Sequence[str]) -> list[Row]:
    """One row for each name: who is concerned, what runs there, and until when it may."""
    from gridq.store import claims, drains, workers

    told, living = drains.drained(client), workers.living(client)
    rows = []
    for name in names:
        here = [worker for worker in living if name in (worker.name, worker.node)]
        # Heartbeats are up to two seconds old; claims are not.
        running = [task for worker in here for task in claims.held_tasks(client, worker.name)]
        rows.append(
            {
                "name": name,
                "draining": name in told,
                "deadline": told.get(name),
                "workers": [worker.name for worker in here],
                "running": running,
                # A worker that does not know yet may still take a task.
                "rests": not running and all(worker.shut for worker in here),
            }
        )
    return rows


def sentence(row: Row) -> str:
    """`node1 takes no more tasks; 2 tasks still run on it, without a deadline`."""
    running = len(row["running"])
    if not row["workers"]:
        return f"{row['name']} takes no tasks when it comes; it is away now"
    if not running:
        return f"{row['name']} takes no more tasks; nothing runs on it"
    one = running == 1
    still = f"{count(running, 'task')} still run{'s' if one else ''} on it"
    if row["deadline"] is None:
        return f"{row['name']} takes no more tasks; {still}, without a deadline"
    after = format_seconds(row["deadline"])
    return f"{row['name']} takes no more tasks; {still}, and {'goes' if one else 'go'} back to the queue after {after}"


def _wait(client: Client, names: Sequence[str], *, as_json: bool) -> int:
    """Wait until nothing runs there, telling of every change; returns the exit status."""
    from gridq.cli.interrupts import Interrupts

    out, said = console(stderr=as_json), ""
    with Interrupts() as interrupts:
        while True:
            rows = drain_rows(client, names)
            if all(row["rests"] for row in rows):
                break
            left = [task for row in rows for task in row["running"]]
            line = f"waiting for {count(len(left), 'task')}: {', '.join(left)}" if left else "waiting for heartbeats"
            if line != said:
                out.print(line, style="dim")
                said = line
            if interrupts.wait(_LOOK):
                out.print(f"still drained: gridq undrain {' '.join(names)} takes that back", style="yellow")
                return interrupts.exit_code
    if as_json:
        emit_json(rows)
    else:
        out.print(f"nothing runs on {', '.join(names)}", style="green")
    return 0
