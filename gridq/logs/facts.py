"""Who says it: the worker with its node and GPUs, and the task that runs when it is said."""

from __future__ import annotations

from typing import Any

from celery import signals
from celery._state import get_current_task

#: The message header by which a task's process learns how often the task was claimed, this time included.
ATTEMPT = "gridq_attempt"


class Facts:
    """What every line of this process carries."""

    def __init__(self) -> None:
        self._process: dict[str, Any] = {}
        #: In a process that runs one task at a time, what is known of that task: threads that it starts are its too.
        self._running: dict[str, Any] = {}

    def bind(self, *, worker: str, node: str, gpus: list[str]) -> None:
        """This process, and the children that it will have, belong to that worker.

        Args:
            gpus: their UUIDs.
        """
        self._process = {"worker": worker, "node": node}
        if gpus:
            self._process["gpu"] = ",".join(gpus)

    def follow_tasks(self) -> None:
        """This is a child of the pool, which runs one task at a time."""
        signals.task_prerun.connect(self._begin, weak=False)
        signals.task_postrun.connect(self._end, weak=False)

    def now(self) -> dict[str, Any]:
        """What is known at this moment, in this thread: worker, node and gpu; task_id, task and attempt of a task."""
        task = get_current_task()
        of_task = _of_task(task) if task is not None else {}
        return {**self._process, **(of_task or self._running)}

    def _begin(self, task: Any, **_: Any) -> None:
        self._running = _of_task(task)

    def _end(self, **_: Any) -> None:
        self._running = {}


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
