"""Task records: what happened to a task, kept from `delay()` until `records_ttl` after its end.

States: waiting → placed → running → done | failed | cancelled | dead; delayed before waiting for an eta or a retry;
waiting again after a requeue; dropped after dead, where somebody dropped the dead letter. The scripts write the times
(ms of Redis' clock).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from gridq.store.client import Client
from gridq.store.keys import TASK, TASKS
from gridq.store.progress import Progress

#: The fields of a record's hash that are times, ms of Redis' clock.
TIMES = ("submitted_at", "waiting_at", "due_at", "placed_at", "started_at", "finished_at")

#: Every state that a task can be in, in the order of its life.
STATES = ("delayed", "waiting", "placed", "running", "done", "failed", "cancelled", "dead", "dropped")

_PAGE = 200
#: How many records one call of the trimming script forgets: some milliseconds of Redis' time.
_TRIMMED_AT_ONCE = 1000


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
        times: seconds of Redis' clock by name, as in TIMES. It waits since `waiting_at`, also after a requeue.
        message: the message as published, from which the task can be run again.
        xids: XID errors on its GPU while it was there, oldest first.
        requeues: how often it went back to its queue since it was sent, its own retries apart.
        losses: how often its worker or its process died under it.
        gpus: uuids of the GPUs on which it ran last; empty before its end, and for CPU tasks.
        mean_utilization: share of its run in which some kernel ran on its GPU, whoever's, 0 to 1; None if unknown.
        peak_memory: bytes that its processes held on one GPU at most, as far as readings saw; None if unknown.
        progress: how far its last attempt got by its own account; None if it did not say.
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
    requeues: int = 0
    losses: int = 0
    gpus: tuple[str, ...] = ()
    mean_utilization: float | None = None
    peak_memory: int | None = None
    progress: Progress | None = None

    @classmethod
    def from_hash(cls, task_id: str, fields: dict[str, str]) -> Self:
        """A record from its Redis hash."""
        placement = fields.get("placement")
        attempts = int(fields.get("attempts", 0))
        return cls(
            id=task_id,
            name=fields.get("name", "?"),
            state=fields.get("state", "?"),
            queue=fields.get("queue", "?"),
            needs=json.loads(fields.get("needs", "{}")),
            worker=fields.get("worker"),
            attempts=attempts,
            reason=fields.get("reason"),
            placement=json.loads(placement) if placement else None,
            times={name: int(fields[name]) / 1000 for name in TIMES if int(fields.get(name, 0))},
            message=fields.get("message"),
            xids=tuple(XidNote(**note) for note in json.loads(fields.get("xids", "[]"))),
            requeues=int(fields.get("requeues", 0)),
            losses=int(fields.get("losses", 0)),
            gpus=tuple(filter(None, fields.get("gpus", "").split(","))),
            mean_utilization=float(fields["mean_utilization"]) if "mean_utilization" in fields else None,
            peak_memory=int(fields["peak_memory"]) if "peak_memory" in fields else None,
            progress=Progress.from_json(fields.get("progress"), attempts, int(fields.get("started_at", 0)) / 1000),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the message."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "message"}
        said = self.progress.to_dict() if self.progress else None
        return plain | {"xids": [asdict(note) for note in self.xids], "gpus": list(self.gpus), "progress": said}


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
    return _record(task_id, client.command("HGETALL", TASK + task_id))


def beginning(client: Client, prefix: str, *, most: int = 10_000) -> list[str]:
    """The ids that begin so, of the tasks that came last to each state.

    Args:
        most: how many tasks of each state are looked at, so that it costs the same however many there are.
    """
    pages = client.commands([("ZRANGE", TASKS + state, 0, most - 1, "REV") for state in STATES])
    raw = prefix.encode()
    return sorted({bytes(id).decode(errors="replace") for page in pages for id in page if bytes(id).startswith(raw)})


def counts(client: Client) -> dict[str, int]:
    """How many tasks are in each state; of those that have ended, as many as are remembered."""
    return dict(zip(STATES, map(int, client.commands([("ZCARD", TASKS + state) for state in STATES])), strict=True))


def listing(
    client: Client,
    state: str,
    *,
    since: float | None = None,
    name: str | None = None,
    limit: int = 100,
    first: Literal["newest", "oldest"] = "newest",
) -> list[TaskRecord]:
    """The records of tasks that are in a state.

    Args:
        since: only those that came to it no more than so many seconds ago; None for all.
        name: only tasks of that name; None for all.
        limit: how many at most.
        first: whether those come first that came to it last, or those that have been in it longest.
    """
    earliest = "-inf" if since is None else f"{(client.now() - since) * 1000:.0f}"
    bounds = ("+inf", earliest, "BYSCORE", "REV") if first == "newest" else (earliest, "+inf", "BYSCORE")
    found: list[TaskRecord] = []
    start = 0
    while len(found) < limit:
        page = ("ZRANGE", TASKS + state, *bounds, "LIMIT", start, _PAGE)
        ids = [bytes(task_id).decode(errors="replace") for task_id in client.command(*page)]
        if not ids:
            break
        start += len(ids)
        for task_id, fields in zip(ids, client.commands([("HGETALL", TASK + each) for each in ids]), strict=True):
            record = _record(task_id, fields)
            # One that has moved on since, or whose record has ended, is none of these any more.
            if record is not None and record.state == state and name in (None, record.name):
                found.append(record)
    return found[:limit]


def trim(client: Client, *, life: float, limit: int) -> int:
    """Forget ended tasks that are too old or too many.

    Args:
        life: seconds for which the record of an ended task is kept.
        limit: how many are kept of each kind of end.

    Returns:
        How many records were forgotten because they were too many.
    """
    gone = 0
    while True:
        now_gone = int(client.run("trim", int(life * 1000), limit, _TRIMMED_AT_ONCE))
        gone += now_gone
        if now_gone < _TRIMMED_AT_ONCE:
            return gone


def _record(task_id: str, fields: dict[bytes, bytes]) -> TaskRecord | None:
    if not fields:
        return None
    texts = {bytes(key).decode(): bytes(value).decode(errors="replace") for key, value in fields.items()}
    return TaskRecord.from_hash(task_id, texts)
