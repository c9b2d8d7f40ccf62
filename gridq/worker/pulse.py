"""Whether the worker's main loop turns: without it no task's end is seen, and nothing is claimed or given back.

The heartbeat comes from a thread of its own and would go on for ever beside a main loop that hangs. So the loop leaves
a mark every second, and once the last mark is old the lease is no longer renewed: it ends, and others take over.
"""

from __future__ import annotations

from typing import Any

from gridq.worker.deadline import now

#: Seconds between marks.
TICK = 1.0


class Pulse:
    """The main loop's marks.

    Args:
        lease: seconds that a lease lasts; half of it without a mark is too long.
    """

    def __init__(self, lease: float) -> None:
        self._patience = TICK + lease / 2
        #: The timer's entry and the last mark. One value, since another thread reads it.
        self._marks: tuple[Any, float] | None = None

    def follow(self, hub: Any) -> None:
        """Expect marks from this loop from the first one on: before that, user code may run for long at the start."""
        self._marks = None

        def mark() -> None:
            self._marks = entry, now()

        entry = hub.call_repeatedly(TICK, mark)

    @property
    def silence(self) -> float | None:
        """For how many seconds the loop has hung; None if it turns, or is not there to turn.

        Celery cancels the loop's timers when it leaves it to connect anew, which takes as long as it takes.
        """
        if self._marks is None or self._marks[0].canceled:
            return None
        silent = now() - self._marks[1]
        return silent if silent > self._patience else None
