"""The ids of tasks, as people type them: whole, or their first characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridq.errors import GridqError
from gridq.units import format_seconds

if TYPE_CHECKING:
    from gridq.store.client import Client
    from gridq.store.tasks import TaskRecord

#: As many as a person copies, and enough that two tasks hardly ever share them; a whole id has more than the others.
_SHORTEST, _WHOLE = 8, 36
_MOST_SHOWN = 5


def whole_id(client: Client, typed: str) -> str:
    """The id that begins so; what was typed where none does.

    Raises:
        GridqError: when several do.
    """
    from gridq.store import tasks

    if not _SHORTEST <= len(typed) < _WHOLE or tasks.find(client, typed):
        return typed
    found = tasks.beginning(client, typed)
    if len(found) > 1:
        shown = ", ".join(found[:_MOST_SHOWN]) + ("" if len(found) <= _MOST_SHOWN else ", …")
        raise GridqError(
            f"expected the id of one task, got {typed!r}, with which {len(found)} begin: {shown}",
            hint="give some more characters of it",
        )
    return found[0] if found else typed


def record_of(client: Client, typed: str, kept: float) -> TaskRecord:
    """The record of a task.

    Args:
        typed: its id, or at least the first 8 characters.
        kept: seconds for which records are kept.

    Raises:
        GridqError: when there is none, or several tasks are meant.
    """
    from gridq.store import tasks

    record = tasks.find(client, whole_id(client, typed))
    if record is None:
        raise GridqError(
            f"expected the id of a task, got {typed!r}, of which there is no record",
            hint=f"records are kept for {format_seconds(kept)} after a task's end (records_ttl); see gridq tasks",
        )
    return record
