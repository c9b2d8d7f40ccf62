"""The dead letters: tasks that no worker could end, with the reason, until somebody retries or drops them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gridq.store.client import Client
from gridq.store.keys import DEAD

MESSAGES = DEAD + ":messages"
UNTOLD = DEAD + ":untold"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One of them.

    Attributes:
        id: the task's id.
        buried_at: seconds of Redis' clock.
        queue: where it waited, and goes again at a retry.
        worker: who held it last.
        reason: why it is here.
        message: as it was published.
    """

    id: str
    buried_at: float
    queue: str
    worker: str
    reason: str
    message: str

    @property
    def name(self) -> str:
        """The task's name, as far as the message can be read."""
        try:
            return str(json.loads(self.message)["headers"]["task"])
        except (ValueError, TypeError, KeyError):
            return "?"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the message."""
        return {"name": self.name} | {name: getattr(self, name) for name in self.__slots__ if name != "message"}


@dataclass(frozen=True, slots=True)
class Extent:
    """How many dead letters there are, and how old the oldest is in seconds; None where there is none."""

    count: int
    age: float | None = None


def extent(client: Client) -> Extent:
    """The dead letters without reading any of them."""
    count, first = client.commands([("ZCARD", DEAD), ("ZRANGE", DEAD, 0, 0, "WITHSCORES")])
    buried = [float(at) / 1000 for _, at in _pairs(first)]
    return Extent(int(count), max(0.0, client.now() - buried[0]) if buried else None)


def letters(client: Client, *, limit: int = 1000) -> list[DeadLetter]:
    """The dead letters, the latest first, at most `limit`."""
    scored = client.command("ZRANGE", DEAD, 0, limit - 1, "REV", "WITHSCORES")
    pairs = [(_text(task), float(at) / 1000) for task, at in _pairs(scored)]
    if not pairs:
        return []
    texts = client.command("HMGET", MESSAGES, *(task for task, _ in pairs))
    return [_letter(task, at, _text(text)) for (task, at), text in zip(pairs, texts, strict=True) if text]


def untold(client: Client) -> list[DeadLetter]:
    """Those whose callers do not know yet."""
    tasks = [_text(task) for task in client.command("SMEMBERS", UNTOLD)]
    if not tasks:
        return []
    texts = client.command("HMGET", MESSAGES, *tasks)
    return [_letter(task, 0.0, _text(text)) for task, text in zip(tasks, texts, strict=True) if text]


def bury(client: Client, worker: str, claim: str, reason: str) -> bool:
    """A claimed message that no worker can run; returns whether the claim was still this worker's."""
    return bool(client.run("bury", worker, claim, reason))


def retry(client: Client, tasks: Iterable[str]) -> int:
    """Put dead letters back into their queues with a clean slate; returns how many there were."""
    return int(client.run("revive", "retry", *tasks))


def drop(client: Client, tasks: Iterable[str]) -> int:
    """Forget dead letters; returns how many there were."""
    return int(client.run("revive", "drop", *tasks))


def _letter(task: str, at: float, text: str) -> DeadLetter:
    queue, _, worker, reason, message = text.split("\n", 4)
    return DeadLetter(task, at, queue, worker, reason, message)


def _pairs(scored: list[Any]) -> list[tuple[Any, Any]]:
    # RESP3 answers in pairs, RESP2 in one flat list.
    if scored and isinstance(scored[0], list | tuple):
        return [(task, at) for task, at in scored]
    return list(zip(scored[::2], scored[1::2], strict=True))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
