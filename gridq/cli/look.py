"""How listings look: columns that give way on a narrow terminal, bars, colours of verdicts, `–` for what is unknown."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

import click
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from gridq.units import format_bytes

UNKNOWN = "–"
#: Columns of a pipe, where nothing is cut off and nothing wraps.
_PIPE_WIDTH = 200
_COLOURS = {"healthy": "green", "degraded": "yellow", "unhealthy": "red", "unknown": "magenta"}
_FULL = 0.9
_SPACES_AT_END = re.compile(r" +$", re.MULTILINE)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a listing.

    Attributes:
        title: its head.
        cell: what a row shows in it.
        width: the terminal's width from which on it is shown.
        right: whether it holds numbers, which line up at the right.
        gives: whether it is cut short where the others need the room.
    """

    title: str
    cell: Callable[[Row], Text | str]
    width: int = 0
    right: bool = False
    gives: bool = False

    def shown(self, row: Row) -> Text | str:
        """The cell; it never wraps, also where rich may make its column narrower."""
        cell = self.cell(row)
        return Text(str(cell), no_wrap=True, overflow="ellipsis") if self.gives else cell


def console(*, stderr: bool = False) -> Console:
    """The terminal, or a pipe wide enough for every column."""
    # Markup is off: the reason why a task failed may well have words in brackets.
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _PIPE_WIDTH
        made.soft_wrap = True
        made.file = cast(IO[str], _Trimming(made.file))
    return made


class _Trimming:
    """A pipe that gets no spaces at the ends of lines: rich fills each line of a table up with them."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """What rich prints comes in whole lines."""
        return self._file.write(_SPACES_AT_END.sub("", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def headed(head: str, text: str) -> Text:
    """`workers  3 GPUs`: a bold word, and what belongs to it, from a column of its own on."""
    return Text.assemble((head.ljust(9), "bold"), text)


def emit_json(data: Any) -> None:
    """Print plain JSON."""
    json.dump(data, sys.stdout, indent=2, ensure_ascii=False)
    click.echo()


def table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Table:
    """A table of those columns that a terminal of this width has room for."""
    shown = [column for column in columns if width >= column.width]
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in shown:
        justify: JustifyMethod = "right" if column.right else "left"
        # rich takes room from columns that may wrap before it takes it from all.
        made.add_column(column.title, justify=justify, no_wrap=not column.gives, overflow="ellipsis")
    for row in rows:
        made.add_row(*(column.shown(row) for column in shown))
    return made


def bar(share: float | None, width: int = 10) -> Text:
    """`██████░░░░`, red when almost full; empty where the share is unknown."""
    if share is None:
        return Text(UNKNOWN.ljust(width), style="dim")
    return _filled(share, width, "red" if share >= _FULL else "cyan")


def progress_bar(share: float, width: int) -> Text:
    """The same of what has an end: green when it is there, since unlike a full memory that is nothing to warn of."""
    return _filled(share, width, "green" if share >= 1 else "cyan")


def _filled(share: float, width: int, colour: str) -> Text:
    full = round(min(1.0, max(0.0, share)) * width)
    return Text.assemble(("█" * full, colour), ("░" * (width - full), "dim"))


def memory(row: Row, width: int = 10) -> Text:
    """A bar and `3.2/24GiB` of a GPU row's memory."""
    used, total = row["memory_used"], row["memory_total"]
    amount = "  " + (UNKNOWN if used is None else format_bytes(used)) + " / " + format_bytes(total)
    return bar(None if used is None else used / total, width).append(amount, style="default")


def verdict(state: str) -> Text:
    """The state of a GPU in its colour."""
    return Text(state, style=_COLOURS.get(state, ""))


def draining(cell: Text, is_draining: bool) -> Text:
    """The cell, and that its worker takes no more tasks."""
    return cell.append(" draining", style="yellow") if is_draining else cell


def known(value: float | int | str | None, form: str = "{}") -> str:
    """The value in that form; `–` for None."""
    return UNKNOWN if value is None else form.format(value)


def count(number: int, noun: str) -> str:
    """`1 worker`, `2 workers`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
