"""`gridq tasks`: one line per task, the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click
from rich.text import Text

from gridq.cli import waits
from gridq.cli.explain import durations
from gridq.cli.look import UNKNOWN, Column, Row, console, emit_json, progress_bar, table
from gridq.cli.options import seconds
from gridq.cli.session import Session, pass_session
from gridq.errors import suggestion
from gridq.store.tasks import STATES
from gridq.units import format_seconds

if TYPE_CHECKING:
    from gridq.store.client import Client
    from gridq.store.progress import Progress
    from gridq.store.tasks import TaskRecord
    from gridq.store.workers import WorkerStatus

#: What goes on, then what went wrong, then the rest: on a narrow terminal the end is cut off.
_TOLD_FIRST = ("running", "waiting", "placed", "delayed", "failed", "dead", "done", "cancelled", "dropped")
_COLOURS = {"running": "cyan", "done": "green", "failed": "red", "dead": "red", "cancelled": "magenta"}


def state_cell(state: str) -> Text:
    """The state of a task in its colour."""
    return Text(state, style=_COLOURS.get(state, "yellow"))


def span(value: float | None) -> str:
    """Seconds in words; `–` for None."""
    return UNKNOWN if value is None else format_seconds(value)


def progress_cell(progress: Row | None, width: int = 6) -> Text:
    """`███░░░  45% 2m 05s left`, without a bar where its width is 0; `–` where the task says nothing of it."""
    if progress is None:
        return Text(UNKNOWN, style="dim")
    share = progress["share"]
    if share is None:
        return Text(f"{progress['done']:g} done")
    shown = progress_bar(share, width)
    shown.append(f" {share:4.0%}" if width else f"{share:.0%}", style="default")
    if progress["eta"] is not None and share < 1:
        shown.append(f" {format_seconds(round(progress['eta']))} left", style="default")
    return shown


COLUMNS = (
    Column("id", lambda row: row["id"]),
    Column("task", lambda row: row["name"], gives=True),
    Column("state", lambda row: state_cell(row["state"])),
    Column("age", lambda row: span(row["age"]), right=True),
    Column("wait", lambda row: span(row["wait"]), width=100, right=True),
    Column("run", lambda row: span(row["run"]), width=90, right=True),
    Column("worker", lambda row: row["worker"] or UNKNOWN, width=120),
    Column("attempts", lambda row: str(row["attempts"]), width=160, right=True),
    Column("progress", lambda row: progress_cell(row["progress"]), width=140),
    Column("reason", lambda row: row["reason"] or "", gives=True),
)


def _states(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """`--state waiting --state running`, or `--state waiting,running`."""
    wanted = [state for word in words for state in word.split(",")]
    for state in wanted:
        if state not in STATES:
            meant = suggestion(state, STATES) or "see gridq tasks --help"
            raise click.BadParameter(f"expected {', '.join(STATES)}, got {state!r}; {meant}")
    return tuple(dict.fromkeys(wanted))


@click.command(name="tasks", epilog="Example:  gridq tasks --state failed,dead --since 1h")
@click.option(
    "--state", "states", metavar="STATE", multiple=True, callback=_states, help=f"Of these: {', '.join(STATES)}."
)
@click.option("--task", "name", metavar="NAME", help="Of this name: shop.tasks.train.")
@click.option("--since", metavar="TIME", callback=seconds, help="Changed in this time: 1h, 30m.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most, the newest."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; times in seconds.")
@pass_session
def command(
    session: Session, states: tuple[str, ...], name: str | None, since: float | None, limit: int, as_json: bool
) -> None:
    """One line per task, the newest first: where it is, how long it waited and ran, and why it is there."""
    from gridq.store import tasks, workers

    with session.store() as client:
        now = client.now()
        found = listed(client, states or STATES, since=since, name=name, limit=limit)
        rows = task_rows(found, workers.living(client), now)
        totals = tasks.counts(client)
    if as_json:
        emit_json(rows)
        return
    out = console()
    if not rows:
        out.print("no task" + (" of that kind" if states or name or since is not None else ""))
    else:
        out.print(table(COLUMNS, rows, out.width))
    if len(rows) == limit:
        out.print(f"the newest {limit}; --limit shows more", style="dim")
    out.print(summary(totals), style="dim")


def listed(
    client: Client, states: Iterable[str], *, since: float | None = None, name: str | None = None, limit: int = 100
) -> list[TaskRecord]:
    """The newest tasks in any of these states.

    Args:
        since: only those that came to their state in the last so many seconds.
        name: of the task; None for any.
    """
    from gridq.store import tasks

    found = [one for state in states for one in tasks.listing(client, state, since=since, name=name, limit=limit)]
    return sorted(found, key=submitted_at, reverse=True)[:limit]


def submitted_at(record: TaskRecord) -> float:
    """When the task was sent, seconds of Redis' clock; 0 where nobody knows."""
    return record.times.get("submitted_at") or min(record.times.values(), default=0.0)


def task_rows(records: Sequence[TaskRecord], living: Sequence[WorkerStatus], now: float) -> list[Row]:
    """The tasks as plain JSON types; the keys are stable."""
    reasons = waits.reasons(records, living, now)
    return [task_row(record, reasons.get(record.id) or record.reason, now) for record in records]


def task_row(record: TaskRecord, reason: str | None, now: float) -> Row:
    """One task."""
    spans = durations(record.times, record.state, now)
    sent = submitted_at(record)
    return {
        "id": record.id,
        "name": record.name,
        "state": record.state,
        "queue": record.queue,
        "needs": record.needs,
        "age": round(max(0.0, now - sent), 3) if sent else None,
        "wait": spans.get("waiting", spans.get("waited")),
        "run": spans.get("running", spans.get("ran")),
        "ended": spans.get("ended"),
        "worker": record.worker,
        "attempts": record.attempts,
        "progress": progress_row(record.progress, now),
        "reason": reason,
    }


def progress_row(progress: Progress | None, now: float) -> Row | None:
    """What a task said of its progress, as plain JSON types: `share` from 0 to 1, `eta` in seconds."""
    if progress is None:
        return None
    share = progress.share
    return progress.to_dict() | {"share": None if share is None else min(1.0, share), "eta": progress.eta(now)}


def summary(totals: dict[str, int]) -> str:
    """`3 running · 12 waiting`: how many tasks are in each state."""
    told = [f"{totals[state]:,} {state}" for state in _TOLD_FIRST if totals.get(state)]
    return " · ".join(told) or "no task has a record"
