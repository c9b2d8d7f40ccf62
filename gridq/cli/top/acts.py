"""What `gridq top` does when it is told to: with the pieces of the commands that do the same."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gridq.cli import cancel as cancelling
from gridq.cli import drain as draining
from gridq.cli import show as showing
from gridq.cli import show_view
from gridq.cli import undrain as undraining
from gridq.cli.gpus import model
from gridq.cli.look import Row, count, known, memory, verdict
from gridq.cli.session import Session

UNENDED = cancelling.UNENDED
#: Seconds after which what is shown counts as old.
STALE = 4.0
_MOST_SHOWN = 4


def question_of_cancel(tasks: Sequence[Row]) -> tuple[str, list[str]]:
    """What to ask before these tasks are cancelled, and which they are."""
    running = sum(task["state"] == "running" for task in tasks)
    lines = [f"{task['name']}  {task['id']}  {task['state']}" for task in tasks[:8]]
    lines += [f"and {len(tasks) - 8} more"] if len(tasks) > 8 else []
    lines += ["What runs is killed, with all that it started."] if running else []
    return f"Cancel {count(len(tasks), 'task')}?", lines


def cancel(session: Session, ids: Sequence[str]) -> str:
    """Cancel tasks; what became of them."""
    with session.store() as client:
        rows = cancelling.cancel(session.app, client, ids)
    return "\n".join(f"{row['id'][:8]} {cancelling.sentence(row)}" for row in rows)


def drain(session: Session, name: str) -> str:
    """Let a worker or a node take no more tasks; what that means now."""
    with session.store() as client:
        return "\n".join(draining.sentence(row) for row in draining.drain(client, [name]))


def undrain(session: Session, name: str) -> str:
    """Let it take tasks again."""
    with session.store() as client:
        undraining.undrain(client, name)
    return f"{name} takes tasks again"


def details(session: Session, row: Row) -> RenderableType:
    """All of a task, or of a GPU and what runs there."""
    with session.store() as client:
        kept = session.settings.records_ttl
        if "uuid" not in row:
            return show_view.render(showing.show(session.app, client, row["id"], kept))
        parts: list[RenderableType] = [_gpu(row)]
        for task in row["tasks"][:_MOST_SHOWN]:
            parts += ["", show_view.render(showing.show(session.app, client, task["id"], kept))]
        return Group(*parts)


def _gpu(row: Row) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("GPU", f"{row['worker']}  {model(row['model'])}  {row['uuid']}")
    grid.add_row("verdict", verdict(row["verdict"]))
    for reason in row["reasons"]:
        grid.add_row("", Text(reason))
    grid.add_row("memory", memory(row))
    grid.add_row("util", known(row["utilization"], "{:.0%}"))
    grid.add_row("temp", _of(row["temperature"], row["temperature_limit"], "°C"))
    grid.add_row("power", _of(row["power"], row["power_limit"], "W"))
    grid.add_row("runs", f"{len(row['tasks'])} of {count(row['slots'], 'slot')}, score {row['score']:.2f}")
    grid.add_row("reading", f"{row['reading_age']:.1f}s old")
    return grid


def _of(value: float | None, limit: float | None, unit: str) -> str:
    return known(value, "{:.0f}" + unit) + (f", the limit is {limit:.0f}{unit}" if limit is not None else "")
