"""From what a task asks for to the queue it is sent to: Celery's `task_routes` calls this for every publish."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

from kombu import Exchange, Queue

from gridq.broker.fleet import Fleet
from gridq.broker.posting import DECISION, HEADER
from gridq.config import Settings
from gridq.errors import NeedError, UnmetNeedError, UnmetNeedWarning
from gridq.needs import NEED_NAMES, PRIORITIES, Needs, misspelt, priority_number
from gridq.placement.decision import Decision
from gridq.queues import EXCHANGE, queue_for

#: What a task needs that says nothing, or that is no GpuTask.
_NONE = Needs()


@cache
def queue_named(name: str) -> Queue:
    """The kombu queue of that name on gridq's exchange."""
    return Queue(name, Exchange(EXCHANGE, "direct"), routing_key=name)


class Router:
    """Routes a task by its needs; tasks without any go on to Celery's other routes and its default queue.

    Args:
        settings: strategy, and whether impossible needs are refused.
        fleet: what is known of the GPUs.
    """

    def __init__(self, settings: Settings, fleet: Fleet) -> None:
        self._settings = settings
        self._fleet = fleet

    def __call__(
        self, name: str, args: Any, kwargs: Any, options: dict[str, Any], task: Any = None
    ) -> dict[str, Any] | None:
        """Celery's router protocol; takes gridq's own words out of `options`, which Celery would publish as they are.

        Raises:
            NeedError: for a wrong need, before anything is published.
        """
        words = {word: options.pop(word) for word in NEED_NAMES if word in options}
        wrong = misspelt(options)
        if wrong:
            raise NeedError(f"unknown option {wrong[0]!r} of {name}", hint=f"did you mean {wrong[1]!r}?")
        priority = options.get("priority")
        options["priority"] = PRIORITIES["normal"] if priority is None else priority_number(priority)

        headers = dict(options.get("headers") or {})
        before = Needs.from_message(headers[HEADER]) if HEADER in headers else getattr(task, "needs", _NONE)
        needs = before.override(**words) if words else before
        if not needs.gpu and not needs.node:
            return None
        headers[HEADER] = needs.to_message()
        options["headers"] = headers
        # A retry names the queue that the task came from. If we chose that, we choose again; a caller's choice stands.
        if _name(options.get("queue")) == queue_for(before):
            del options["queue"]
        if options.get("queue") or options.get("exchange"):
            return None
        route: dict[str, Any] = {"queue": queue_named(queue_for(needs))}
        if needs.gpu:
            route[DECISION] = self._decide(name, needs)
        return route

    def _decide(self, name: str, needs: Needs) -> Decision:
        decision = self._fleet.snapshot().decide(needs, self._settings.strategy)
        if decision.impossible:
            message = f"{name} {decision.impossible}"
            if self._settings.impossible_needs == "refuse":
                raise UnmetNeedError(message, hint="impossible_needs: wait lets such tasks wait for a GPU that fits")
            warnings.warn(UnmetNeedWarning(f"{message}; it waits for a GPU that fits"), stacklevel=2)
        return decision


def _name(queue: Queue | str | None) -> str | None:
    return queue.name if isinstance(queue, Queue) else queue
