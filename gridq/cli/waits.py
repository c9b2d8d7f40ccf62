"""Why a task waits: what stops each living worker from taking it, and all of that in one line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gridq.cli.look import count
from gridq.errors import NeedError
from gridq.needs import Needs
from gridq.placement import fit
from gridq.store.queues import looks_into
from gridq.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from gridq.store.tasks import TaskRecord
    from gridq.store.workers import WorkerStatus

#: The states in which a task waits.
WAITS = ("waiting", "placed", "delayed")
#: Said of a task that another program has sent.
UNREADABLE = "cannot read what it needs"


def concerns(record: TaskRecord, worker: WorkerStatus) -> bool:
    """Whether the worker has anything to do with the task: a CPU worker has not with GPU tasks, nor the other way."""
    return bool(worker.gpus) if record.needs.get("gpu") else looks_into(worker, record.queue)


def obstacle(record: TaskRecord, worker: WorkerStatus) -> str | None:
    """What stops the worker from taking the task now, as the rest of a sentence; None when nothing does."""
    needs = _needs(record)
    if needs is None:
        return UNREADABLE
    if needs.gpu:
        stopped = fit.obstacle(needs, worker)
        if stopped:
            return stopped
        if not looks_into(worker, record.queue):
            return f"does not look into {record.queue}"
    elif worker.draining:
        return "is draining"
    if len(worker.running) >= worker.slots:
        return f"is busy: {len(worker.running)} of {count(worker.slots, 'slot')} taken"
    if worker.free is not None and needs.vram > worker.free:
        return f"has {format_bytes(worker.free)} free, not {format_bytes(needs.vram)}"
    return None


def reasons(records: Iterable[TaskRecord], living: Sequence[WorkerStatus], now: float) -> dict[str, str]:
    """For each task that waits, by id, why it does, in one line.

    Many tasks ask for the same; the fleet is looked through once for each kind of them.
    """
    found: dict[str, str] = {}
    known: dict[tuple[str, str], str] = {}
    for record in records:
        if record.state not in WAITS:
            continue
        if record.state == "delayed":
            found[record.id] = _delayed(record, now)
        elif record.state == "placed":
            found[record.id] = f"{record.queue} takes it now"
        else:
            kind = (json.dumps(record.needs, sort_keys=True), record.queue)
            if kind not in known:
                known[kind] = _waiting(record, living)
            found[record.id] = known[kind]
    return found


def _delayed(record: TaskRecord, now: float) -> str:
    due = record.times.get("due_at")
    if due is None or due <= now:
        return "due now"
    return f"due in {format_seconds(due - now)}"


def _needs(record: TaskRecord) -> Needs | None:
    """None where they are not what gridq writes: the worker that takes the task will bury it."""
    try:
        return Needs.from_message(record.needs)
    except NeedError:
        return None


def _waiting(record: TaskRecord, living: Sequence[WorkerStatus]) -> str:
    needs = _needs(record)
    if needs is None:
        return UNREADABLE
    noun = "GPU" if needs.gpu else "worker"
    near = [worker for worker in living if concerns(record, worker)]
    if not near:
        return "no GPU worker is alive" if needs.gpu else f"no worker looks into {record.queue}"
    unfit = {worker.name: _misfit(record, needs, worker) for worker in near}
    fitting = [worker for worker in near if not unfit[worker.name]]
    if not fitting:
        common, number = Counter(unfit.values()).most_common(1)[0]
        if len(near) == 1:
            return f"{near[0].name} {common}"
        return f"no GPU fits: each {common}" if number == len(near) else f"no GPU fits: one {common}, for example"
    if len(fitting) == 1:
        return f"{fitting[0].name} {obstacle(record, fitting[0]) or 'could take it'}"
    kinds = Counter(_kind(record, worker) for worker in fitting)
    if len(kinds) == 1:
        return f"all {len(fitting)} {noun}s that fit are {next(iter(kinds))}"
    told = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    return f"{len(fitting)} {noun}s fit: {told}"


def _misfit(record: TaskRecord, needs: Needs, worker: WorkerStatus) -> str | None:
    """Why the worker will never take the task; None if it could."""
    never = fit.misfit(needs, worker.seat) if needs.gpu and worker.seat else None
    return never or (None if looks_into(worker, record.queue) else f"does not look into {record.queue}")


def _kind(record: TaskRecord, worker: WorkerStatus) -> str:
    """One word for what stops a worker that fits."""
    stopped = obstacle(record, worker)
    if stopped is None:
        return "free"
    if worker.draining:
        return "draining"
    if not worker.takes_work:
        return next(gpu.verdict.state.value for gpu in worker.gpus if not gpu.verdict.takes_work)
    return "busy" if stopped.startswith("is busy") else "short of memory"
