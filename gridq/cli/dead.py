"""`gridq dead`: the tasks that no worker could end, and what to do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gridq.cli.look import Column, Row, console, count, emit_json, table
from gridq.cli.session import Session, pass_session
from gridq.errors import GridqError
from gridq.units import format_seconds

if TYPE_CHECKING:
    from gridq.store.client import Client

COLUMNS = (
    Column("id", lambda row: row["id"]),
    Column("task", lambda row: row["name"]),
    Column("since", lambda row: format_seconds(row["age"]), right=True),
    Column("queue", lambda row: row["queue"], width=150),
    Column("worker", lambda row: row["worker"], width=130),
    Column("reason", lambda row: row["reason"], gives=True),
)
_MOST = 10_000


@click.group(name="dead", epilog="Example:  gridq dead list")
def command() -> None:
    """Tasks that no worker could end: list them, retry them, drop them."""


@command.command(name="list", epilog="Example:  gridq dead list --json | jq -r '.[].id'")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; times in seconds.")
@pass_session
def list_command(session: Session, as_json: bool) -> None:
    """One line per dead letter, the latest first."""
    with session.store() as client:
        rows = dead_rows(client)
    if as_json:
        emit_json(rows)
        return
    out = console()
    if not rows:
        out.print("no dead letters")
        return
    out.print(table(COLUMNS, rows, out.width))
    out.print("hint: gridq explain ID says more; gridq dead retry ID, or drop ID", style="dim")


def dead_rows(client: Client) -> list[Row]:
    """The dead letters as plain JSON types; the keys are stable."""
    from gridq.store import dead

    now = client.now()
    return [
        letter.to_dict() | {"age": round(max(0.0, now - letter.buried_at), 3)}
        for letter in dead.letters(client, limit=_MOST)
    ]


_IDS = click.argument("ids", metavar="[ID]...", nargs=-1)
_ALL = click.option("--all", "every", is_flag=True, help="All of them.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@command.command(name="retry", epilog="Example:  gridq dead retry --all")
@_IDS
@_ALL
@_JSON
@pass_session
def retry_command(session: Session, ids: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Put dead letters back into their queues, their losses forgotten."""
    from gridq.store import dead

    with session.store() as client:
        chosen = choose(client, ids, every)
        done = [id for id in chosen if dead.retry(client, [id])]
    _tell(chosen, done, "back in the queue", as_json)


@command.command(name="drop", epilog="Example:  gridq dead drop 5f3c8a1b-3c7e-4b52-9a1e-0d6f1c2b3a4d --yes")
@_IDS
@_ALL
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
@pass_session
def drop_command(session: Session, ids: tuple[str, ...], every: bool, yes: bool, as_json: bool) -> None:
    """Forget dead letters for good; their callers were told long ago."""
    from gridq.store import dead

    with session.store() as client:
        chosen = choose(client, ids, every)
        if chosen and not yes:
            click.confirm(f"Forget {count(len(chosen), 'task')} for good?", abort=True, err=True)
        done = [id for id in chosen if dead.drop(client, [id])]
    _tell(chosen, done, "dropped", as_json)


def choose(client: Client, ids: tuple[str, ...], every: bool) -> list[str]:
    """The ids that are meant.

    Raises:
        GridqError: when one of them is no dead letter.
    """
    if bool(ids) == every:
        raise click.UsageError("expected ids or --all, got " + ("both" if every else "neither"))
    known = [row["id"] for row in dead_rows(client)]
    wrong = [id for id in ids if id not in known]
    if wrong:
        raise GridqError(f"expected the id of a dead letter, got {wrong[0]!r}", hint="gridq dead list lists them")
    return known if every else list(dict.fromkeys(ids))


def _tell(chosen: list[str], done: list[str], what: str, as_json: bool) -> None:
    if as_json:
        emit_json([{"id": id, "done": id in done} for id in chosen])
        return
    for id in chosen:
        console().print(f"{id} {what}" if id in done else f"{id} was no dead letter any more")
    if not chosen:
        console().print("no dead letters")
