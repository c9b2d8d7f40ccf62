"""The XID table, and that docs/hardware.md shows it as it is."""

from __future__ import annotations

from pathlib import Path

from gridq.gpu.xid import SOURCE, TABLE, Action, lookup

DOCS = Path(__file__).parents[3] / "docs" / "hardware.md"


def table_for_docs() -> str:
    rows = "".join(f"| {xid.number} | {xid.meaning} | {xid.action} |\n" for xid in TABLE)
    return f"| XID | meaning | what gridq does |\n|---|---|---|\n{rows}"


def test_each_number_stands_once_in_order() -> None:
    numbers = [xid.number for xid in TABLE]
    assert numbers == sorted(set(numbers))


def test_actions_are_those_that_were_decided_on() -> None:
    decided = {
        Action.BLAME_TASK: [13, 31, 43, 45, 68],
        Action.RECYCLE: [63, 94],
        Action.DRAIN: [46, 64, 74, 109],
        Action.QUARANTINE: [48, 79, 95, 119, 120, 140],
    }
    assert {action: [xid.number for xid in TABLE if xid.action is action] for action in Action} == decided


def test_looks_up_what_it_knows() -> None:
    assert str(lookup(79)) == "XID 79: the GPU has fallen off the bus"


def test_a_number_that_it_does_not_know_drains() -> None:
    assert (lookup(12345).number, lookup(12345).action) == (12345, Action.DRAIN)


def test_docs_show_the_table_and_its_source() -> None:
    text = DOCS.read_text()
    assert table_for_docs() in text, f"docs/hardware.md should have:\n\n{table_for_docs()}"
    assert SOURCE in text
