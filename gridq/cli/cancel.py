"""`gridq cancel ID…`: end tasks, whether they wait or run."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gridq.cli.ids import whole_id
from gridq.cli.look import Row, console, emit_json
from gridq.cli.session import Session, pass_session

if TYPE_CHECKING:
    from gridq.store.client import Client

#: Seconds between looks at what still runs, between two times of telling its worker, and until that is given up.
_LOOK, _AGAIN, _PATIENCE = 0.05, 1.0, 15.0
#: The states of tasks that can be cancelled.
UNENDED = ("waiting", "placed", "delayed", "running")


@click.command(name="cancel", epilog="Example:  gridq cancel 5f3c8a1b-3c7e-4b52-9a1e-0d6f1c2b3a4d")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
@pass_session
def command(session: Session, context: click.Context, ids: tuple[str, ...], as_json: bool) -> None:
    """End tasks: what waits ends at once, what runs is killed with all that it started.

    An ID may be shortened to its first 8 characters, or be that of a group whose result was saved; `-` reads whole
    ids from stdin. Exit status: 0 if all of them are cancelled, 1 if one had ended before, has no record, or does not
    end.
    """
    with session.store() as client:
        rows = cancel(session.app, client, wanted(session.app, client, ids))
    if as_json:
        emit_json(rows)
    else:
        out = console()
        for row in rows:
            out.print(f"{row['id']} {sentence(row)}", style=None if row["cancelled"] else "yellow")
    context.exit(0 if all(row["cancelled"] for row in rows) else 1)


def wanted(app: Any, client: Client, ids: Sequence[str]) -> list[str]:
    """The ids of tasks, each once: groups in place of their ids, and stdin's in place of `-`."""
    from gridq.store import tasks

    words = [word for id in ids for word in (sys.stdin.read().split() if id == "-" else [whole_id(client, id)])]
    found: dict[str, None] = {}
    for word in words:
        group = None if tasks.find(client, word) else app.GroupResult.restore(word)
        found |= dict.fromkeys([result.id for result in group.results] if group else [word])
    return list(found)


def cancel(app: Any, client: Client, ids: Sequence[str]) -> list[Row]:
    """Cancel them, and wait for the end of those that run; one row for each, whose keys are stable."""
    from gridq.broker import control

    first = {task.id: task for task in control.cancel(app, client, ids, terminate=True)}
    running = [task.id for task in first.values() if task.state in UNENDED and not task.ended]
    began = time.monotonic()
    told = 0.0
    while running and time.monotonic() - began < _PATIENCE:
        if time.monotonic() - told > _AGAIN:
            # Again and again: a worker whose connection has just broken hears nothing, and a task that goes back to
            # its queue at this moment waits there.
            app.control.end_running(running)
            if told:
                control.cancel(app, client, running, terminate=True)
            told = time.monotonic()
        time.sleep(_LOOK)
        running = [id for id, state in _states(client, running).items() if state in UNENDED]
    now = _states(client, ids)
    return [
        {
            "id": id,
            "was": task.state,
            "state": now[id],
            "worker": task.worker or None,
            "cancelled": now[id] == "cancelled" and task.state in UNENDED,
        }
        for id, task in first.items()
    ]


def _states(client: Client, ids: Sequence[str]) -> dict[str, str]:
    from gridq.store.keys import TASK

    states = client.commands([("HGET", TASK + id, "state") for id in ids])
    return {id: bytes(state).decode() if state else "unknown" for id, state in zip(ids, states, strict=True)}


def sentence(row: Row) -> str:
    """What became of one task."""
    if row["cancelled"]:
        return f"cancelled; it ran on {row['worker']}" if row["was"] == "running" else "cancelled before it began"
    if row["was"] == "unknown":
        return "not cancelled: there is no record of it"
    if row["was"] == "dead":
        return f"not cancelled: it is in the dead letters (gridq dead drop {row['id']})"
    if row["was"] not in UNENDED:
        return f"not cancelled: it is {row['was']} already"
    if row["state"] in UNENDED and row["worker"] is None:
        return "not cancelled: its record waits, but its message is gone (was its queue purged?); it will not run"
    if row["state"] in UNENDED:
        return f"not cancelled yet: its worker {row['worker']} has not answered; it will not run again"
    return f"not cancelled: it is {row['state']}, it ended at the same moment"
