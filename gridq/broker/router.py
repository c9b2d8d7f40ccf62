"""From what a task asks for to the queue it is sent to: Celery's `task_routes` calls this for every publish."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

from kombu import Exchange, Queue

from gridq.broker.fleet import Fleet
from gridq.broker.posting import DECISION, HEADER, Routed
from gridq.broker.warned import warn_caller
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
        inherited: the priority that a task published now has from the task that publishes it, if any.
    """

    def __init__(self, settings: Settings, fleet: Fleet, inherited: Callable[[], int | None] = lambda: None) -> None:
        self._settings = settings
        self._fleet = fleet
        self._inherited = inherited

    def __call__(
        self, name: str, args: Any, kwargs: Any, options: dict[str, Any], task: Any = None
    ) -> dict[str, Any] | None:
        """Celery's router protocol; takes gridq's own words out of `options`, which Celery would publish as they are.

        Raises:
            NeedError: for a wrong need, before anything is published.
        """
        # Stamps are Celery's: it published the task with words of its caller's choice, and wants to find them here.
        stamps = set(options.get("stamped_headers") or ())
        words = {word: options.pop(word) for word in NEED_NAMES if word in options and word not in stamps}
        wrong = misspelt(option for option in options if option not in stamps)
        if wrong:
            raise NeedError(f"unknown option {wrong[0]!r} of {name}", hint=f"did you mean {wrong[1]!r}?")
        if "priority" not in stamps:
            options["priority"] = self._priority(options.get("priority"))
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
            began = time.perf_counter()
            decision = self._decide(name, needs)
            route[DECISION] = Routed(decision, time.perf_counter() - began)
        return route

    def _priority(self, said: object) -> int:
        if said is not None:
            return priority_number(said)
        # What Celery does next with task_inherit_parent_priority it does only where no priority is given; and without
        # any, kombu would put the task into the most urgent list.
        inherited = self._inherited()
        return PRIORITIES["normal"] if inherited is None else inherited

    def _decide(self, name: str, needs: Needs) -> Decision:
        decision = self._fleet.snapshot().decide(needs, self._settings.strategy)
        if decision.impossible:
            message = f"{name} {decision.impossible}"
            if self._settings.impossible_needs == "refuse":
                raise UnmetNeedError(message, hint="impossible_needs: wait lets such tasks wait for a GPU that fits")
            warn_caller(UnmetNeedWarning(f"{message}; it waits for a GPU that fits"))
        return decision


def parents_priority(app: Any) -> int | None:
    """The priority of the task that runs here now, where the app's tasks inherit it."""
    parent = app.current_worker_task if app.conf.task_inherit_parent_priority else None
    said = (parent.request.delivery_info or {}).get("priority") if parent else None
    return said if isinstance(said, int) else None


def _name(queue: Queue | str | None) -> str | None:
    return queue.name if isinstance(queue, Queue) else queue
