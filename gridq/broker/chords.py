"""How parts of chords are counted: each once, and the body sent once, also where what counts them dies or loses Redis.

Celery counts a part by its task's id, in one step, and whoever counts the last one has for some seconds the right to
send the body. If that process dies, the task comes again, is found to be counted, and the right is another's: so nobody
would ever send the body. Here a task that comes again waits until the right is nobody's, or the body has been sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

from kombu.utils.encoding import bytes_to_str

from gridq.broker.connection import open_client
from gridq.errors import BrokerError
from gridq.store import tasks
from gridq.store.client import LostError, try_again_later

#: Seconds between two looks whether the right to send a body is nobody's any more.
_LOOK = 0.5

#: Mixed into classes of Celery, whose attributes it uses.
_Mixed: Any = object


class Counting(_Mixed):
    """The part of a result backend that counts parts of chords; mixed into Celery's Redis and Sentinel backends."""

    def on_chord_part_return(
        self, request: Any, state: str, result: Any, propagate: Any = None, **options: Any
    ) -> None:
        """Celery's hook: a task has ended that may be part of a chord. While Redis is away it is tried again."""
        again = bool((request.delivery_info or {}).get("redelivered"))
        count = partial(super().on_chord_part_return, request, state, result, propagate, **options)

        def attempt() -> None:
            nonlocal again
            # What was lost with the connection may have been done all the same.
            before, again = again, True
            self._count(request, count, again=before)

        # For as long as the result of a task is tried to be stored, which in a worker is as long as its lease lasts.
        self._ensure_retryable(self.ensure, attempt, ())

    def _count(self, request: Any, count: Callable[[], object], *, again: bool) -> None:
        while not (again and self._body_was_sent(request)):
            with try_again_later():
                count()
            if not (again and self._has_sender(request.group)):
                return
            time.sleep(_LOOK)

    def _has_sender(self, group: str | None) -> bool:
        """Whether all parts of the chord are there, and somebody has the right to send the body."""
        if group is None:
            return False
        right = self.client.get(self.get_key_for_group(group, ".c"))
        ended = right is None or bytes_to_str(right) == "done"
        return not ended and bool(self.client.exists(self.get_key_for_group(group, ".s")))

    def _body_was_sent(self, request: Any) -> bool:
        """Whether the chord's body was published since the task was; a chord may be applied several times."""
        body = _first_task(request.chord)
        if body is None:
            return False
        try:
            with closing(open_client(self.app)) as client:
                sent, part = (tasks.find(client, each) for each in (body, request.id))
        except BrokerError as error:
            raise LostError(str(error)) from error
        return sent is not None and _submitted(sent) >= _submitted(part)


def _first_task(signature: Any) -> str | None:
    """The id of the task that is published first where this is sent; None if nobody can know."""
    while signature and signature.get("subtask_type") in ("chain", "group"):
        # A chain has the id of its last task, which is published when those before it have ended.
        signature = next(iter(signature["kwargs"].get("tasks") or ()), None)
    found: str | None = ((signature or {}).get("options") or {}).get("task_id")
    return found


def _submitted(record: tasks.TaskRecord | None) -> float:
    return record.times.get("submitted_at", 0.0) if record else 0.0
