"""How `gridq logs` shows what tasks printed."""

from __future__ import annotations

import io
import sys

import pytest

from gridq.cli.logs_view import TextView, last_lines
from gridq.store.output import Part, Printed


def printed(*texts: str, attempt: int = 1, gap: int = 0) -> list[Printed]:
    return [Printed("1-0", attempt, "gpu0@node1", Part(text, gap)) for text in texts]


class Terminal(io.StringIO):
    """A terminal to which a command prints."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("texts", "lines", "shown"),
    [
        (("a\nb\n", "c\nd"), 0, ""),
        (("a\nb\n", "c\nd"), 1, "d"),
        (("a\nb\n", "c\nd"), 3, "b\nc\nd"),
        (("a\nb\n", "c\nd\n"), 2, "c\nd\n"),
        (("a", "b"), 1, "ab"),
        (("a\nb\n",), 9, "a\nb\n"),
        ((), 3, ""),
    ],
)
def test_the_last_lines_are_those_at_the_end(texts: tuple[str, ...], lines: int, shown: str) -> None:
    assert "".join(each.part.text for each in last_lines(printed(*texts), lines)) == shown


def test_attempts_and_gaps_are_marked_in_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    view = TextView(cut=2048)
    view.show(printed("one\n", "two") + printed("again\n", attempt=2, gap=1024))
    view.end()
    assert capsys.readouterr().out == (
        "— 2KiB left out —\none\ntwo\n— attempt 2 on gpu0@node1 —\n— 1KiB left out —\nagain\n"
    )


def test_a_terminal_is_not_steered_and_gets_its_colour_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    view = TextView(cut=0)
    view.show(printed("\x1b[31mred \x1b[2J", "still"))
    view.end()
    assert sys.stdout.getvalue() == "\x1b[31mred still\x1b[0m\n"
