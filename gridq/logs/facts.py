"""Who says it: the worker with its node and GPUs, and the task that runs when it is said."""

from __future__ import annotations

import os
from typing import Any

from celery import signals
from celery._state import get_current_task

#: The message header by which a task's process learns how often the task was claimed, this time included.
ATTEMPT = "gridq_attempt"


class Facts:
    """What every line of this process carries."""

    def __init__(self) -> None:
        self._process: dict[str, Any] = {}
        self._worker_pid = 0
        #: In a process of the pool, its task and those that this one runs within itself: its threads are the first's.
        self._running: list[dict[str, Any]] = []

    def bind(self, *, worker: str, node: str, gpus: list[str]) -> None:
        """This process, and the children that it will have, belong to that worker.

        Args:
            gpus: their UUIDs.
        """
        self._worker_pid = os.getpid()
        self._process = {"worker": worker, "node": node}
        if gpus:
            self._process["gpu"] = ",".join(gpus)

    def follow_tasks(self) -> None:
        """This is a process of the pool. Where that is the worker's own, not all that is said is said by its task."""
        if os.getpid() == self._worker_pid:
            return
        signals.task_prerun.connect(self._begin, weak=False)
        signals.task_postrun.connect(self._end, weak=False)

    def now(self) -> dict[str, Any]:
        """What is known at this moment, in this thread: worker, node and gpu; task_id, task and attempt of a task."""
        task = get_current_task()
        of_task = _of_task(task) if task is not None else {}
        if not of_task and self._running:
            of_task = self._running[0]
        return {**self._process, **of_task}

    def _begin(self, task: Any, **_: Any) -> None:
        self._running.append(_of_task(task))

    def _end(self, **_: Any) -> None:
        self._running.pop()


def _of_task(task: Any) -> dict[str, Any]:
    request = task.request
    # A task that another one calls as a function has none; then it is part of that one.
    if request.id is None:
        return {}
    known = {"task_id": request.id, "task": task.name}
    attempt = getattr(request, ATTEMPT, None)
    if attempt is not None:
        known["attempt"] = attempt
    return known
