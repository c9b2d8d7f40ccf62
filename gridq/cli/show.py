"""`gridq show ID`: everything about one task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from gridq.cli.explain import durations
from gridq.cli.ids import record_of
from gridq.cli.look import Row, console, emit_json
from gridq.cli.results import result_of
from gridq.cli.session import Session, pass_session
from gridq.cli.show_view import render
from gridq.cli.tasks import progress_row, submitted_at
from gridq.cli.waits import reasons
from gridq.units import GIB, format_bytes

if TYPE_CHECKING:
    from gridq.store.client import Client
    from gridq.store.tasks import TaskRecord
    from gridq.store.workers import WorkerStatus

_ENDED = ("done", "failed", "cancelled", "dead", "dropped")
#: A task that asks for this many times what it holds at most, and for so many bytes more, keeps others from a GPU.
_FAR_OFF, _WORTH_A_WORD = 2.0, 2 * GIB


@click.command(name="show", epilog="Example:  gridq show 5f3c8a1b-3c7e-4b52-9a1e-0d6f1c2b3a4d")
@click.argument("task_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; bytes, seconds, and times since 1970.")
@pass_session
def command(session: Session, task_id: str, as_json: bool) -> None:
    """Everything about one task: times, GPU, memory, progress, result. Why it is where it is, `gridq explain` says."""
    with session.store() as client:
        answer = show(session.app, client, task_id, session.settings.records_ttl)
    if as_json:
        emit_json(answer)
    else:
        console().print(render(answer))


def show(app: Any, client: Client, task_id: str, kept: float) -> Row:
    """All that the cluster remembers of a task, as plain JSON types; the keys are stable.

    Args:
        kept: seconds for which records are kept.

    Raises:
        GridqError: when there is no such task.
    """
    from gridq.store import workers

    record, now = record_of(client, task_id, kept), client.now()
    living = workers.living(client)
    plain = {name: value for name, value in record.to_dict().items() if name != "placement"}
    return plain | {
        "age": round(max(0.0, now - submitted_at(record)), 3),
        "durations": durations(record.times, record.state, now),
        "reason": reasons([record], living, now).get(record.id) or record.reason,
        "gpus": _gpus(client, record, living),
        "gpu_seconds": gpu_seconds(record, now),
        "progress": progress_row(record.progress, now),
        "result": result_of(app, record.id) if record.state in _ENDED else None,
        "warnings": warnings(record),
        **_call(record.message),
    }


def _gpus(client: Client, record: TaskRecord, living: list[WorkerStatus]) -> list[Row]:
    """The GPUs on which the task ran last, or runs."""
    from gridq.store import workers

    here = [gpu.device for one in living if one.name == record.worker for gpu in one.gpus]
    if record.gpus:
        # uuids of simulated GPUs are the same on every node.
        known = workers.gpus_seen(client) | {device.uuid: device for device in here}
        return [{"uuid": uuid, "model": known[uuid].model if uuid in known else None} for uuid in record.gpus]
    return [{"uuid": device.uuid, "model": device.model} for device in here if record.state == "running"]


def gpu_seconds(record: TaskRecord, now: float) -> float | None:
    """For how long the last run had GPUs, times their number; None for a CPU task or before it starts."""
    start = record.times.get("started_at")
    if not record.needs.get("gpu") or start is None:
        return None
    spent = (record.times.get("finished_at") or now) - start
    return round(max(0.0, spent) * int(record.needs.get("gpus", 1)), 3)


def warnings(record: TaskRecord) -> list[str]:
    """What its author should know, one sentence each."""
    asked, peak = int(record.needs.get("vram", 0)), record.peak_memory
    if peak is None or not asked:
        return []
    declared = f"declared {format_bytes(asked)}, peak {format_bytes(peak)}"
    if peak > asked:
        return [f"{declared}: it may meet a GPU that has not the memory"]
    if asked > _FAR_OFF * peak and asked - peak > _WORTH_A_WORD:
        return [f"{declared}: a smaller vram lets it start on more GPUs"]
    return []


def _call(message: str | None) -> Row:
    """How the task was called, as far as its message tells."""
    try:
        headers = json.loads(message or "{}").get("headers") or {}
    except (ValueError, AttributeError):
        headers = {}
    return {
        "args": headers.get("argsrepr"),
        "kwargs": headers.get("kwargsrepr"),
        "retries": headers.get("retries"),
        "root": headers.get("root_id"),
        "parent": headers.get("parent_id"),
    }
