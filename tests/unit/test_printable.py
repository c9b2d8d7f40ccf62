"""Text of others is shown with its colours, and cannot steer the terminal of who reads it."""

from __future__ import annotations

import pytest

from gridq.printable import Printer, plain, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain täxt\twith\ttabs\r\n", "plain täxt\twith\ttabs\r\n"),
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("\x1b[2J\x1b[10;10Hgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]52;c;cHduZWQ=\x1b\\text", "text"),
        ("\x1bP+q544e\x1b\\text", "text"),
        ("bell\x07 back\x08 null\x00 del\x7f", "bell␇ back␈ null␀ del␡"),
        ("\x1bcreset", "␛creset"),
        ("\x9b2J eight bits", "\ufffd2J eight bits"),
        ("gpj.\u202etxt", "gpj.\ufffdtxt"),
        ("unfinished \x1b]0;title", "unfinished ␛]0;title"),
    ],
)
def test_only_colours_get_through(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_colour_that_comes_in_two_parts_stays_one() -> None:
    printer = Printer()
    assert [printer.feed(part) for part in ("a\x1b", "[3", "1mred", "\x1b[0m")] == ["a", "", "\x1b[31mred", "\x1b[0m"]
    assert printer.styled


def test_a_line_for_a_log_has_no_colours_and_no_tabs() -> None:
    assert plain("\x1b[31mred\x1b[0m\tand\x07 so") == "red and␇ so"
