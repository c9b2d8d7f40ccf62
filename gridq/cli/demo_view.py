"""What the demo shows: a table that changes on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from gridq.cli import gpus
from gridq.cli.demo_search import Search
from gridq.cli.look import Column, Row, count, memory, progress_bar, table, verdict
from gridq.cli.supervisor import Supervisor
from gridq.store.gpus import gpu_rows
from gridq.store.workers import WorkerStatus
from gridq.units import format_seconds

_COLUMNS = (
    Column("GPU", lambda row: row["worker"].partition("@")[0]),
    Column("model", lambda row: gpus.model(row["model"]), gives=True),
    Column("memory", lambda row: memory(row)),
    Column("verdict", lambda row: verdict(row["verdict"])),
    Column("done", lambda row: str(row["done"]), right=True),
    Column("searches", lambda row: row["now"], gives=True),
)
#: When all is done nothing is searched, and the last reading of the memory is older than that.
_AT_THE_END = tuple(column for column in _COLUMNS if column.title not in ("memory", "searches"))
_BAR = 40


class Screen:
    """Shows one demo.

    Args:
        out: where.
        supervisor: whose workers it is about.
    """

    def __init__(self, out: Console, supervisor: Supervisor) -> None:
        self._out = out
        self._supervisor = supervisor
        self._live: Live | None = None
        self._living: list[WorkerStatus] = []
        self._told = 0

    @contextmanager
    def live(self) -> Iterator[None]:
        """On a terminal, redraw in place while the block runs."""
        total = count(len(self._supervisor.labels), "worker")
        if not self._out.is_terminal:
            self._out.print(f"starting a private broker and {total}")
            yield
            return
        # Redrawn by us alone: a thread of rich's own would draw while processes are started.
        with Live(console=self._out, auto_refresh=False, transient=True) as live:
            self._live = live
            self._draw(Text(f"starting a private broker and {total}"))
            yield
        self._live = None

    def _draw(self, shown: RenderableType) -> None:
        if self._live is not None:
            self._live.update(shown, refresh=True)

    def starting(self, ready: list[WorkerStatus]) -> None:
        """So many workers are ready."""
        self._draw(Text(f"starting {count(len(self._supervisor.labels), 'worker')}: {len(ready)} ready"))

    def ready(self, seconds: float) -> None:
        """All workers are."""
        if self._live is None:
            self._out.print(f"{count(len(self._supervisor.labels), 'worker')} ready in {format_seconds(seconds)}")

    def show(self, living: list[WorkerStatus], search: Search) -> None:
        """How far the search is."""
        self._living = living
        self._draw(self._table(search))
        quarter = search.done * 4 // search.total
        if self._live is None and quarter > self._told:
            self._told = quarter
            self._out.print(f"searched {search.done} of {search.total} parts")

    def _table(self, search: Search) -> RenderableType:
        done, running = search.done_by, search.running_on
        rows: list[Row] = [
            row | {"done": done[row["worker"]], "now": running.get(row["worker"], "–")}
            for row in gpu_rows(self._living)
        ]
        progress = progress_bar(search.done / search.total, _BAR)
        head = Text.assemble(("the longest Collatz chain below ", "bold"), (f"{search.limit:,}", "bold cyan"))
        line = Text.assemble("searched ", progress, f" {search.done}/{search.total}")
        columns = _AT_THE_END if search.finished else _COLUMNS
        return Group(head, "", table(columns, rows, self._out.width), "", line)

    def summary(self, search: Search, right: bool) -> bool:
        """Print what came of it; returns whether it was right."""
        number, steps = search.pair
        each = " · ".join(f"{name.partition('@')[0]} {done}" for name, done in sorted(search.done_by.items()))
        if self._out.is_terminal:
            self._out.print(self._table(search))
            self._out.print()
        self._out.print(f"longest chain below {search.limit:,}: {number:,} with {steps} steps")
        self._out.print(_judged(search, right), style="green" if right else "red")
        self._out.print(f"{search.total} tasks ({each}), with {search.answer['with']}")
        self._out.print(f"stopped; nothing is left behind. Next: {typed('up')}")
        return right


def typed(command: str) -> str:
    """A command as it can be typed in the shell from which this program was called, where PATH may not have gridq."""
    program, here = Path(sys.executable).with_name("gridq"), Path.cwd()
    if which("gridq") or not program.exists():
        return f"gridq {command}"
    return f"{program.relative_to(here) if program.is_relative_to(here) else program} {command}"


def _judged(search: Search, right: bool) -> str:
    if right:
        return "counted again on the CPU: right" + (", and the known record" if search.known else "")
    known = " with {1} steps: {0:,}".format(*search.known) if search.known else ""
    return f"WRONG: the CPU counts another chain, or the known record is another one{known}"
