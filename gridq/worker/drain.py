"""A worker that shall take no more tasks: by `gridq drain`, or because it was told to stop. What still runs at the end
of its time is ended and goes back to its queue."""

from __future__ import annotations

import logging
import math
import os

from celery.worker import state

from gridq.broker.holder import Holder
from gridq.worker.deadline import now
from gridq.worker.gate import Gate
from gridq.worker.guard import children, kill_group

logger = logging.getLogger(__name__)

#: Seconds between two tries to end what should have ended.
_AGAIN = 0.25


class Drain:
    """Whether one worker is drained, and until when its tasks may go on.

    Args:
        gate: what is shut meanwhile.
        holder: whose tasks they are.
    """

    def __init__(self, gate: Gate, holder: Holder) -> None:
        self._gate = gate
        self._holder = holder
        #: When what runs is ended, in seconds of `now()`, infinite for never; None while nobody asked for it.
        self._drained: float | None = None
        self._stopping: float | None = None

    def learn(self, left: float | None) -> bool:
        """What Redis says.

        Args:
            left: seconds until what runs is ended, infinite for never; None if the worker is not drained.

        Returns:
            Whether the gate was opened or shut by this.
        """
        self._drained = None if left is None else now() + left
        return self._set_gate()

    def stop(self, grace: float) -> None:
        """The worker was told to stop; its tasks may go on for so many seconds."""
        if self._stopping is None:
            self._stopping = now() + grace
            self._set_gate()

    def _set_gate(self) -> bool:
        before, self._gate.shut = self._gate.shut, self._drained is not None or self._stopping is not None
        return before != self._gate.shut

    @property
    def _ends(self) -> float:
        return min(math.inf if end is None else end for end in (self._drained, self._stopping))

    @property
    def pause(self) -> float:
        """Seconds until `enforce` should be called, at the latest; infinite while it need not be."""
        return max(_AGAIN, self._ends - now()) if self._holder.running else math.inf

    def enforce(self) -> None:
        """End what runs, if its time is over. Its worker then sees its process die, and puts it back uncounted."""
        held = self._holder.running
        if not held or now() < self._ends:
            return
        stopped = self._stopping is not None and self._stopping <= now()
        reason = f"{self._holder.worker} was {'stopped' if stopped else 'drained'}, and it had not ended in time"
        killable = set(children(os.getpid()))
        for claim, task in held.items():
            # None while the pool has not begun it; then it is ended a moment later.
            pid = getattr(state.requests.get(task.task_id), "worker_pid", None)
            if pid in killable:
                self._holder.excuse(claim, reason)
                logger.warning("ending task %s: %s", task.task_id, reason, extra={"task_id": task.task_id})
                kill_group(pid)
