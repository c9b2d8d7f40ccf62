"""What `gridq top` shows of a GPU and of a task, on a terminal of some width."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from gridq.cli.gpus import model
from gridq.cli.look import UNKNOWN, Column, Row, bar, draining, known, verdict
from gridq.cli.tasks import progress_cell, state_cell
from gridq.needs import describe
from gridq.units import format_bytes, format_seconds

_WIDE = 110


def gpu_columns(width: int) -> Sequence[Column]:
    """One line per GPU."""
    wide = width >= _WIDE
    columns = (
        Column("GPU", lambda row: row["worker"], gives=True),
        Column("model", lambda row: model(row["model"]), width=100),
        Column("memory", lambda row: _memory(row, 10 if wide else 6), width=50),
        Column("util", lambda row: known(row["utilization"], "{:.0%}"), width=70, right=True),
        Column("temp", lambda row: known(row["temperature"], "{:.0f}°C"), width=60, right=True),
        Column("power", lambda row: known(row["power"], "{:.0f}W"), width=90, right=True),
        Column("score", lambda row: f"{row['score']:.2f}", width=130, right=True),
        Column("verdict", lambda row: _verdict(row, wide)),
        Column("task", lambda row: _running(row["tasks"], 6 if wide else 0), gives=True),
    )
    return [column for column in columns if width >= column.width]


def task_columns(view: str, width: int) -> Sequence[Column]:
    """One line per task; other columns for those that wait, run, or have ended."""
    name = Column("task", lambda row: row["name"] if width >= _WIDE else _short(row["name"]), gives=True)
    id = Column("id", lambda row: row["id"] if width >= _WIDE else row["id"][:8])
    needs = Column("asks for", lambda row: describe(row["needs"]), width=100)
    worker = Column("worker", lambda row: row["worker"] or UNKNOWN, gives=True)
    run = Column("run", lambda row: _span(row["run"]), right=True)
    columns = {
        "waiting": (
            name,
            id,
            Column("waits", lambda row: _span(row["wait"] if row["wait"] is not None else row["age"]), right=True),
            needs,
            Column("why", lambda row: row["reason"] or "", gives=True),
        ),
        "running": (
            name,
            id,
            worker,
            run,
            Column("progress", lambda row: progress_cell(row["progress"])),
            Column("note", lambda row: (row["progress"] or {}).get("note") or "", width=100, gives=True),
        ),
        "ended": (
            name,
            id,
            Column("end", lambda row: state_cell(row["state"])),
            Column("ago", lambda row: _span(row["ended"]), right=True),
            run,
            Column("worker", lambda row: row["worker"] or UNKNOWN, width=100, gives=True),
            Column("reason", lambda row: row["reason"] or "", gives=True),
        ),
    }
    return [column for column in columns[view] if width >= column.width]


def _memory(row: Row, width: int) -> Text:
    """`███░░░ 12/24GiB`, `░░░░░░ 512MiB/24GiB`."""
    used, total = row["memory_used"], row["memory_total"]
    share = None if used is None or not total else used / total
    most, amount = format_bytes(total), UNKNOWN if used is None else format_bytes(used)
    amount = amount[:-3] if amount[-3:] == most[-3:] else amount
    return bar(share, width).append(f" {amount}/{most}", style="default")


def _verdict(row: Row, wide: bool) -> Text:
    """`healthy draining`; where there is no room for both, the worse of the two."""
    if wide or not row["draining"]:
        return draining(verdict(row["verdict"]), row["draining"])
    return Text("draining", style="yellow") if row["verdict"] in ("healthy", "degraded") else verdict(row["verdict"])


def _short(name: str) -> str:
    """`shop.tasks.train` → `train`."""
    return name.rpartition(".")[2]


def _running(tasks: Sequence[Row], width: int) -> Text:
    """`train 45% 2m 05s left`, `train for 12s`, and how many more run there."""
    if not tasks:
        return Text(UNKNOWN, style="dim")
    first = tasks[0]
    shown = Text(_short(first["name"]) + " ")
    if first["progress"]:
        shown.append_text(progress_cell(first["progress"], width))
    else:
        shown.append(f"for {_span(first['run'])}", style="dim")
    return shown.append(f" and {len(tasks) - 1} more" if len(tasks) > 1 else "")


def _span(seconds: float | None) -> str:
    """Whole seconds: what changes faster nobody can read."""
    return UNKNOWN if seconds is None else format_seconds(max(1, round(seconds)))
