"""In which order GPUs are listed, and which rows a filter leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gridq.cli.look import Row

#: The worst first: that is what somebody who sorts by the verdict looks for.
_WORST = ("unknown", "unhealthy", "degraded", "healthy")


@dataclass(frozen=True, slots=True)
class Order:
    """One order of GPUs.

    Attributes:
        name: as people know it.
        title: of the column that it goes by.
        value: what it compares; None where it is unknown, and then the GPU comes last.
        falling: whether the greatest comes first.
    """

    name: str
    title: str
    value: Callable[[Row], float | None]
    falling: bool = False

    def sort(self, rows: Iterable[Row], *, turned: bool = False) -> list[Row]:
        """The rows in this order; `turned` puts those last that would be first."""
        sign = -1.0 if self.falling != turned else 1.0

        def key(row: Row) -> tuple[Any, ...]:
            value = self.value(row)
            return value is None, sign * (value or 0.0)

        # Sorting keeps the order of equals, so the nodes stand together among them.
        return sorted(_by_node(rows, turned and self.title == "GPU"), key=key)

    def arrow(self, *, turned: bool = False) -> str:
        """Where the greatest stands, as a mark."""
        return "▼" if self.falling != turned else "▲"


def _by_node(rows: Iterable[Row], turned: bool) -> list[Row]:
    return sorted(rows, key=lambda row: (row["node"], row["index"], row["uuid"]), reverse=turned)


def _memory(row: Row) -> float | None:
    used, total = row["memory_used"], row["memory_total"]
    return None if used is None or not total else float(used / total)


ORDERS = (
    Order("node", "GPU", lambda row: 0.0),
    Order("memory", "memory", _memory, falling=True),
    Order("utilisation", "util", lambda row: row["utilization"], falling=True),
    Order("temperature", "temp", lambda row: row["temperature"], falling=True),
    Order("verdict", "verdict", lambda row: float(_WORST.index(row["verdict"]))),
    Order("score", "score", lambda row: row["score"]),
)


def matching(rows: Iterable[Row], words: str) -> list[Row]:
    """The rows in which every word of the filter is found, whatever its case."""
    wanted = words.lower().split()
    return [row for row in rows if all(word in _said(row) for word in wanted)] if wanted else list(rows)


def _said(row: Row) -> str:
    """All that a filter looks at: of a GPU also what runs there."""
    names = ("id", "name", "state", "queue", "worker", "reason", "uuid", "model", "verdict")
    told = [str(row[name]) for name in names if row.get(name)]
    told += ["draining"] if row.get("draining") else []
    told += row.get("reasons", [])
    told += [f"{task['name']} {task['id']}" for task in row.get("tasks", ())]
    return " ".join(told).lower()
