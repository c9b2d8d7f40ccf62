"""The table: what was counted, gridq and stock Celery side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .scenario import SCENARIOS
from .stage import Timing
from .tally import Tally


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario for one side."""

    name: str
    side: str
    tally: Tally

    @property
    def as_promised(self) -> bool:
        """Whether nothing happened that gridq promises not to happen; the other side promises nothing."""
        return self.side != "gridq" or self.tally.clean or bool(SCENARIOS[self.name].loses)


def line(tally: Tally) -> str:
    """A tally in a line."""
    words = [
        f"{tally.tasks} tasks",
        f"{tally.lost} lost",
        f"{tally.late} late",
        f"{tally.failed} failed",
        f"{tally.duplicated} duplicated",
        f"{tally.again} again",
        f"longest wait {tally.wait:.1f} s",
        f"recovery {seconds(tally.recovery)}",
    ]
    return ", ".join(words) + (f" ({'; '.join(_remarks(tally))})" if _remarks(tally) else "")


def seconds(value: float | None) -> str:
    """A time, or a dash for none."""
    return "–" if value is None else f"{value:.1f} s"


def markdown(rows: Sequence[Row], seed: int, timing: Timing) -> str:
    """Two tables: what breaks around Redis, and what Redis itself loses."""
    told = f"Lease {timing.lease:g} s, heartbeat {timing.heartbeat:g} s, seed {seed}."
    storage = [row for row in rows if _is_storage(row)]
    others = [row for row in rows if not _is_storage(row)]
    return "\n".join([told, *_table("scenario", others), *_table("what happens to Redis", storage)]) + "\n"


def _is_storage(row: Row) -> bool:
    return SCENARIOS[row.name].run.__module__.endswith(".storage")


def _table(first: str, rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    head = [
        "",
        f"| {first} | side | tasks | lost | late | failed | duplicated | ran again, rightly | recovery | remarks |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    return [*head, *(_row(row) for row in rows)]


def _remarks(tally: Tally) -> list[str]:
    words = []
    if tally.unanswered:
        words.append(f"{tally.unanswered} ended, but their results are gone")
    if tally.stuck:
        words.append(f"{tally.stuck} ended, and would run again")
    if tally.overlap > 0.01:
        words.append(f"side by side for {tally.overlap:.1f} s")
    return [*words, tally.note] if tally.note else words


def _row(row: Row) -> str:
    tally, scenario = row.tally, SCENARIOS[row.name]
    remarks = _remarks(tally)
    if row.side == "stock" and scenario.visibility is not None:
        remarks.append(f"visibility timeout {scenario.visibility:g} s")
    if row.side == "gridq" and scenario.lease is not None:
        remarks.append(f"lease {scenario.lease:g} s")
    cells = [
        f"{scenario.title} (`{row.name}`)",
        row.side,
        tally.tasks,
        tally.lost,
        tally.late,
        tally.failed,
        tally.duplicated,
        tally.again,
        seconds(tally.recovery),
        "; ".join(remarks),
    ]
    return "| " + " | ".join(map(str, cells)) + " |"
