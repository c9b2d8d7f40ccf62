"""Task records: what happened to a task, kept from `delay()` until `records_ttl` after its end.

States: waiting → placed → running → done | failed | cancelled | dead; delayed before waiting for an eta or a retry;
waiting again after a requeue; dropped after dead, where somebody dropped the dead letter. The scripts write the times
(ms of Redis' clock).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from gridq.store.client import Client
from gridq.store.keys import TASK

#: The fields of a record's hash that are times, ms of Redis' clock.
TIMES = ("waiting_at", "due_at", "placed_at", "started_at", "finished_at")


@dataclass(frozen=True, slots=True)
class XidNote:
    """An XID error that happened on a task's GPU while the task was there, or in the seconds after.

    Attributes:
        number: the XID.
        meaning: in plain words, as gpu/xid.py has it.
        gpu: uuid.
        worker: on which the task was.
        at: seconds of Redis' clock; 0 until it is written down.
    """

    number: int
    meaning: str
    gpu: str
    worker: str
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task as the cluster remembers it.

    Attributes:
        id: Celery's task id.
        name: the task's name, `shop.tasks.train`.
        state: see above.
        queue: where it waits or waited last.
        needs: as in a message's gridq header.
        worker: who holds or held it last; None while nobody did.
        attempts: how often it was claimed.
        reason: why it ended or was requeued, None where there is nothing to say.
        placement: what the router knew and thought, see placement/explain.py; None for tasks it did not place.
        times: seconds of Redis' clock by name: waiting_at, due_at, placed_at, started_at, finished_at.
        message: the message as published, from which the task can be run again.
        xids: XID errors on its GPU while it was there, oldest first.
    """

    id: str
    name: str
    state: str
    queue: str
    needs: dict[str, Any]
    worker: str | None
    attempts: int
    reason: str | None
    placement: dict[str, Any] | None
    times: dict[str, float]
    message: str | None
    xids: tuple[XidNote, ...] = ()

    @classmethod
    def from_hash(cls, task_id: str, fields: dict[str, str]) -> Self:
        """A record from its Redis hash."""
        placement = fields.get("placement")
        return cls(
            id=task_id,
            name=fields.get("name", "?"),
            state=fields.get("state", "?"),
            queue=fields.get("queue", "?"),
            needs=json.loads(fields.get("needs", "{}")),
            worker=fields.get("worker"),
            attempts=int(fields.get("attempts", 0)),
            reason=fields.get("reason"),
            placement=json.loads(placement) if placement else None,
            times={name: int(fields[name]) / 1000 for name in TIMES if int(fields.get(name, 0))},
            message=fields.get("message"),
            xids=tuple(XidNote(**note) for note in json.loads(fields.get("xids", "[]"))),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the message."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "message"}
        return plain | {"xids": [asdict(note) for note in self.xids]}


def note_xid(client: Client, task_ids: Sequence[str], note: XidNote, *, age: float) -> int:
    """Write into the records of tasks that an XID error happened on their GPU.

    Args:
        age: seconds since it happened.

    Returns:
        How many of them have a record.
    """
    return int(client.run("note_xid", note.number, note.meaning, int(age * 1000), note.gpu, note.worker, *task_ids))


def find(client: Client, task_id: str) -> TaskRecord | None:
    """The record of a task; None when there is none, or none any more."""
    fields = client.command("HGETALL", TASK + task_id)
    if not fields:
        return None
    return TaskRecord.from_hash(task_id, {bytes(key).decode(): bytes(value).decode() for key, value in fields.items()})
