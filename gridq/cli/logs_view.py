"""How `gridq logs` shows what a task printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from gridq.printable import Printer
from gridq.units import format_bytes

if TYPE_CHECKING:
    from gridq.store.output import Printed

_RESET = "\x1b[0m"


class JsonView:
    """One JSON object a line for each part."""

    def show(self, parts: Iterable[Printed]) -> None:
        """Print them."""
        for printed in parts:
            if printed.part.text:
                click.echo(json.dumps(printed.to_dict(), ensure_ascii=False))

    def end(self) -> None:
        """Nothing comes after the last part."""


class TextView:
    """The text as it was printed, with a line of ours where another attempt begins or something is missing.

    To a terminal nothing goes by which a task could steer it; into a file or a pipe all goes as it is.

    Args:
        cut: bytes of the beginning that are not kept.
    """

    def __init__(self, *, cut: int) -> None:
        self._out = sys.stdout
        self._is_terminal = self._out.isatty()
        self._printer = Printer()
        self._cut = cut
        self._attempt = 1
        self._is_in_line = False

    def show(self, parts: Iterable[Printed]) -> None:
        """Print them."""
        for printed in parts:
            part = printed.part
            if not part.text:
                continue
            if printed.attempt != self._attempt:
                self._mark(f"attempt {printed.attempt} on {printed.worker}")
                self._attempt = printed.attempt
            if missing := self._cut + part.gap:
                self._mark(f"{format_bytes(missing)} left out")
                self._cut = 0
            self._write(self._printer.feed(part.text) if self._is_terminal else part.text)
        self._out.flush()

    def end(self) -> None:
        """After the last part: the next prompt begins in a line of its own, and in its own colour."""
        if self._is_terminal:
            self._finish_line()
            self._out.flush()

    def _mark(self, text: str) -> None:
        self._finish_line()
        line = f"— {text} —"
        self._write((click.style(line, dim=True) if self._is_terminal else line) + "\n")

    def _finish_line(self) -> None:
        if self._is_terminal and self._printer.styled:
            self._out.write(_RESET)
        if self._is_in_line:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            self._out.write(text)
            self._is_in_line = not text.endswith("\n")


def last_lines(parts: Sequence[Printed], lines: int) -> list[Printed]:
    """The parts that hold the last so many lines, the first of them cut to its share."""
    text = "".join(printed.part.text for printed in parts)
    # The newline at the very end ends the last line; it does not begin another.
    start = len(text) - text.endswith("\n") if lines else len(text)
    for _ in range(lines):
        start = text.rfind("\n", 0, max(0, start))
    skipped = start + 1 if lines else start
    wanted: list[Printed] = []
    for printed in parts:
        length = len(printed.part.text)
        if skipped <= 0:
            wanted.append(printed)
        elif skipped < length:
            wanted.append(replace(printed, part=replace(printed.part, text=printed.part.text[skipped:], gap=0)))
        skipped -= length
    return wanted
