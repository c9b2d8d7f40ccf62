"""`gridq explain ID`: where a task is, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gridq.cli import waits
from gridq.cli.ids import record_of
from gridq.cli.look import UNKNOWN, Column, Row, console, count, emit_json, table
from gridq.cli.session import Session, pass_session
from gridq.cli.waits import WAITS
from gridq.needs import describe
from gridq.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from gridq.store.tasks import TaskRecord
    from gridq.store.workers import WorkerStatus

_COLOURS = {"running": "cyan", "done": "green", "failed": "red", "dead": "red"}
_MOST_SHOWN = 16
_CANDIDATES = (
    Column("worker", lambda row: row["worker"]),
    Column("score", lambda row: f"{row['score']:.2f}", right=True),
    Column("free", lambda row: UNKNOWN if row["free"] is None else format_bytes(row["free"]), right=True),
    Column("heartbeat's age", lambda row: f"{row['age']:.2f}s", right=True),
)
_NOW = (
    Column("worker", lambda row: row["worker"]),
    Column("now", lambda row: row["obstacle"] or Text("could take it", style="green")),
    Column("heartbeat's age", lambda row: f"{row['age']:.2f}s", right=True),
)


@click.command(name="explain", epilog="Example:  gridq explain 5f3c8a1b-3c7e-4b52-9a1e-0d6f1c2b3a4d")
@click.argument("task_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; times in seconds.")
@pass_session
def command(session: Session, task_id: str, as_json: bool) -> None:
    """Where a task is, what it asked for, and why it waits or went where it went."""
    from gridq.store import workers

    with session.store() as client:
        record = record_of(client, task_id, session.settings.records_ttl)
        answer = explain(record, workers.living(client), client.now())
    if as_json:
        emit_json(answer)
    else:
        console().print(render(answer))


def explain(record: TaskRecord, living: Sequence[WorkerStatus], now: float) -> Row:
    """All that is known of the task, as plain JSON types; the keys are stable."""
    near = [worker for worker in living if record.state in WAITS and waits.concerns(record, worker)]
    return record.to_dict() | {
        "durations": durations(record.times, record.state, now),
        "why": why(record),
        "now": [candidate(record, worker) for worker in near],
    }


def durations(times: dict[str, float], state: str, now: float) -> dict[str, float]:
    """Seconds that the task waited, ran, and since it ended; up to now for what still goes on."""
    put, start, end = (times.get(name) for name in ("waiting_at", "started_at", "finished_at"))
    spans: dict[str, float] = {}
    if state == "delayed" and "due_at" in times:
        spans["due_in"] = max(0.0, times["due_at"] - now)
    if put is not None and state in WAITS:
        spans["waiting"] = now - put
    elif put is not None and start is not None:
        spans["waited"] = start - put
    if start is not None and state not in WAITS:
        spans["running" if end is None else "ran"] = (end or now) - start
    if end is not None:
        spans["ended"] = now - end
    return {name: round(max(0.0, seconds), 3) for name, seconds in spans.items()}


def why(record: TaskRecord) -> str:
    """Why the task is where it is, in one sentence."""
    placement = record.placement or {}
    candidates = placement.get("candidates", [])
    strategy = placement.get("strategy", "")
    if record.state == "delayed":
        return "it waits for its time: an eta, a countdown or a retry"
    if record.state == "placed":
        return f"{record.queue} was ready and came first by {strategy}"
    if record.state == "waiting":
        return _why_waiting(record, candidates)
    if record.state == "dead":
        return f"no worker could end it; gridq dead retry {record.id} tries again"
    if record.worker is None:
        return "it ended before any worker took it"
    if not record.needs.get("gpu"):
        return f"it asks for no GPU, and {record.worker} was free"
    chosen = next((row for row in candidates if row["worker"] == record.worker), None)
    if chosen is None:
        return f"{record.worker} was the first that fits to become free"
    place = candidates.index(chosen) + 1
    if place == 1:
        return f"{record.worker} came first by {strategy}, score {chosen['score']:.2f}"
    return f"{record.worker} was the first to be free; by {strategy} it came {place}. of {len(candidates)}"


def _why_waiting(record: TaskRecord, candidates: Sequence[Any]) -> str:
    if record.attempts:
        return f"it is back in {record.queue}" + (f": {record.reason}" if record.reason else "")
    if not record.needs.get("gpu"):
        return f"no worker that looks into {record.queue} has been free"
    if record.placement is None:
        return f"it was sent to {record.queue} itself, and no worker that looks there has been free"
    if not candidates:
        return "no GPU could take it when it was sent"
    return f"{count(len(candidates), 'GPU')} would fit, and none was free when it was sent"


def candidate(record: TaskRecord, worker: WorkerStatus) -> Row:
    """One living worker now, and what stops it from taking the task; None when nothing does."""
    return {"worker": worker.name, "obstacle": waits.obstacle(record, worker), "age": round(worker.age, 3)}


def render(answer: Row) -> RenderableType:
    """The answer for people."""
    parts: list[RenderableType] = [_facts(answer)]
    placement = answer["placement"] or {}
    if placement.get("candidates"):
        title = Text(f"when it was sent, by {placement.get('strategy', '?')}, best first", style="bold")
        parts += ["", title, table(_CANDIDATES, placement["candidates"], 200)]
    parts += _rejected(placement.get("rejected", {}).items())
    if answer["state"] in WAITS:
        parts += ["", Text("who could take it now", style="bold"), *_now(answer["now"])]
    return Group(*parts)


def _now(rows: Sequence[Row]) -> list[RenderableType]:
    if not rows:
        return [Text("  nobody: no living worker is of that kind", style="red")]
    # Those that nothing stops come first; of a thousand GPUs the first few tell enough.
    ordered = sorted(rows, key=lambda row: row["obstacle"] is not None)
    more = len(ordered) - _MOST_SHOWN
    return [table(_NOW, ordered[:_MOST_SHOWN], 200), *([Text(f"  and {more} more")] if more > 0 else [])]


def _rejected(rejected: Iterable[tuple[str, int]]) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(f"  {count(number, 'GPU')}: {reason}") for reason, number in rejected]
    return ["", Text("which could not take it", style="bold"), *lines] if lines else []


def _facts(answer: Row) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    state = Text(answer["state"], style=_COLOURS.get(answer["state"], "yellow"))
    times = " · ".join(f"{_words(name)} {format_seconds(value)}" for name, value in answer["durations"].items())
    grid.add_row("task", f"{answer['name']}  {answer['id']}")
    grid.add_row("state", state)
    grid.add_row("needs", describe(answer["needs"]))
    grid.add_row("queue", answer["queue"])
    if answer["worker"]:
        grid.add_row("worker", answer["worker"])
    grid.add_row("times", times or UNKNOWN)
    grid.add_row("attempts", str(answer["attempts"]))
    grid.add_row("why", answer["why"])
    if answer["reason"]:
        grid.add_row("reason", answer["reason"])
    if answer["xids"]:
        grid.add_row("XIDs", "\n".join(witnessed(note) for note in answer["xids"]))
    return grid


def witnessed(note: Row) -> str:
    """An XID error that happened while the task was on its GPU, in one sentence."""
    when = datetime.fromtimestamp(note["at"]).strftime("%H:%M:%S")
    return f"this task was on {note['worker']} when XID {note['number']} fired at {when}: {note['meaning']}"


def _words(name: str) -> str:
    return {"due_in": "due in", "waiting": "waiting for", "running": "running for", "ended": "ended"}.get(name, name)
