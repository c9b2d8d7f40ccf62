"""How far a task is by its own account, and when it will be done at that rate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

from gridq.store.client import Client


@dataclass(frozen=True, slots=True)
class Progress:
    """What a task said last, in this attempt.

    Attributes:
        done: how much is done, in the task's own unit.
        total: of how much; None if the task does not know.
        note: a few words of the task's.
        at: when it said so, seconds of Redis' clock, as all times here.
        from_done: how much was done at `from_at`, from where the rate is counted: a training that goes on from a
            checkpoint begins with much done.
        from_at: when the attempt said how far it is for the first time; when it began, if it did so but once.
    """

    done: float
    total: float | None
    note: str
    at: float
    from_done: float
    from_at: float

    @classmethod
    def from_json(cls, text: str | None, attempt: int, started_at: float) -> Self | None:
        """From a record's field; None where there is none, or one of an earlier attempt."""
        plain: dict[str, Any] = json.loads(text) if text else {}
        if plain.get("attempt") != attempt:
            return None
        at, first = plain["at"] / 1000, plain["first_at"] / 1000
        once = first == at and 0 < started_at < at
        from_done, from_at = (0.0, started_at) if once else (plain["first_done"], first)
        return cls(plain["done"], plain.get("total"), plain.get("note", ""), at, from_done, from_at)

    @property
    def share(self) -> float | None:
        """From 0 to 1; None if the task does not know of how much."""
        return None if self.total is None else 1.0 if self.total <= 0 else self.done / self.total

    def eta(self, now: float) -> float | None:
        """Seconds until it is done at the rate so far; None where there is none, or nobody knows of how much.

        Args:
            now: seconds of Redis' clock.
        """
        if self.total is None:
            return None
        if self.done >= self.total:
            return 0.0
        gained, took = self.done - self.from_done, self.at - self.from_at
        if gained <= 0 or took <= 0:
            return None
        return max(0.0, (self.total - self.done) * took / gained - (now - self.at))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `ends_at` is when it will be done at the rate so far, seconds of Redis' clock."""
        left = self.eta(self.at)
        said = {name: getattr(self, name) for name in ("done", "total", "note", "at")}
        return said | {"ends_at": None if left is None else round(self.at + left, 3)}


def note(client: Client, task_id: str, claim: str, *, done: float, total: float | None, text: str) -> bool:
    """Write into a task's record how far it is.

    Args:
        claim: under which it runs.
        text: a few words of the task's.

    Returns:
        Whether the record still speaks of that claim.
    """
    whole = "" if total is None else repr(total)
    return bool(client.run("progress", task_id, claim, repr(done), whole, text))
