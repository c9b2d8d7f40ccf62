"""How the processes of one task end: kindly at first, then by force. Only when they are gone is its GPU free again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from kombu.asynchronous import get_event_loop

from gridq.worker.deadline import now
from gridq.worker.guard import kill_group, lives, runs

logger = logging.getLogger(__name__)

#: Seconds that a process has between the request to end and its end by force.
MERCY = 1.0
#: Seconds for which the end of what was killed is awaited: a process that is stuck in a driver may never end.
PATIENCE = 10.0
_LOOK = 0.02


def when_gone(pid: int, then: Callable[[], object] = lambda: None) -> None:
    """Call `then` when a child that was asked to end is gone, with all that it started and that is in its group.

    What is left of the group when the child has ended, or when the mercy is over, is killed.

    Args:
        pid: the child, which leads a group of its own.
        then: called from the worker's event loop, or at once where it has none.
    """
    loop = get_event_loop()
    began = now()

    def look() -> None:
        waited = now() - began
        if waited < MERCY and loop is not None and runs(pid):
            loop.call_later(_LOOK, look)
            return
        kill_group(pid)
        # Until the pool has taken note of its child's end it would hand the next task to it.
        if loop is not None and (lives(pid) or _is_unburied(pid)) and waited < MERCY + PATIENCE:
            loop.call_later(_LOOK, look)
            return
        if lives(pid):
            logger.error("process %d was killed and has not ended; what it holds of a GPU is not free", pid)
        then()
        if loop is not None:
            # After its timers the loop sleeps, a second at most, before it looks for tasks again; the GPU is free now.
            loop.call_later(_LOOK, lambda: None)

    look()


def _is_unburied(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
