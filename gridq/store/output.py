"""What tasks print: a stream for each task, bounded, and all of them together bounded too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gridq.store.client import Client
from gridq.store.keys import OUTPUT, OUTPUT_SIZES

#: Parts that are read at a time.
_AT_ONCE = 256
#: What a stream's ids begin after.
BEGINNING = "0-0"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many bytes are kept of one task's output, and of all tasks'."""

    task: int
    total: int


@dataclass(frozen=True, slots=True)
class Part:
    """Some of what a task printed.

    Attributes:
        text: as it was printed; what is no UTF-8 is replaced.
        gap: bytes that were left out before it, since it printed faster than can be kept.
        ends: whether its attempt prints no more.
    """

    text: str
    gap: int = 0
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Printed:
    """A part as it is kept.

    Attributes:
        id: of the stream; later parts have greater ones.
        attempt: which run of the task printed it, the first is 1.
        worker: on which that was.
    """

    id: str
    attempt: int
    worker: str
    part: Part

    @property
    def at(self) -> float:
        """When it was written, seconds of Redis' clock."""
        return int(self.id.partition("-")[0]) / 1000

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        part = self.part
        return {"at": self.at, "attempt": self.attempt, "worker": self.worker, "text": part.text, "gap": part.gap}


@dataclass(frozen=True, slots=True)
class Source:
    """Who printed: the task, the claim under which it ran, and on which worker."""

    task_id: str
    claim: str
    worker: str


def append(client: Client, source: Source, part: Part, limits: Limits, attempt: int | None = None) -> int:
    """Keep a part.

    Args:
        attempt: what this returned the last time for the same claim; None to find it out.

    Returns:
        The attempt; 0 if there is no record of the task, and nothing was kept.
    """
    known = "" if attempt is None else str(attempt)
    facts = (source.task_id, source.claim, source.worker, part.text.encode("utf-8", "replace"), part.gap, known)
    return int(client.run("output", *facts, limits.task, limits.total, "1" if part.ends else "0"))


def read(client: Client, task_id: str, after: str = BEGINNING) -> Iterator[Printed]:
    """What is kept of a task's output after the part of that id, oldest first."""
    while found := client.command("XRANGE", OUTPUT + task_id, f"({after}", "+", "COUNT", _AT_ONCE):
        for id, fields in found:
            after = bytes(id).decode()
            yield _printed(after, fields)


def await_more(client: Client, task_id: str, after: str, seconds: float) -> None:
    """Return when there is output after that part, and at the latest after so many seconds."""
    client.redis.execute_command(
        "XREAD", "COUNT", 1, "BLOCK", max(1, int(seconds * 1000)), "STREAMS", client.prefix + OUTPUT + task_id, after
    )


def cut(client: Client, task_id: str) -> int:
    """How many bytes of the beginning of a task's output are not kept any more."""
    sizes = client.command("HGET", OUTPUT_SIZES, task_id)
    return int(bytes(sizes).decode().partition(" ")[2]) if sizes else 0


def _printed(id: str, fields: Any) -> Printed:
    # redis-py gives a dictionary, unless it has no idea what the command was.
    pairs = fields.items() if isinstance(fields, dict) else zip(fields[::2], fields[1::2], strict=True)
    said = {bytes(name).decode(): bytes(value).decode("utf-8", "replace") for name, value in pairs}
    part = Part(said.get("text", ""), int(said.get("gap", 0)), "end" in said)
    return Printed(id, int(said.get("attempt", 1)), said.get("worker", "?"), part)
