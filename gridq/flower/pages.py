"""The pages that Flower does not have, behind Flower's door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flower.views import BaseHandler
from flower.views.monitor import Metrics
from tornado.ioloop import IOLoop
from tornado.web import authenticated

from gridq.errors import BrokerError, GridqError
from gridq.store.client import ServerError
from gridq.store.gpus import Row


class Gpus(BaseHandler):
    """`/gpus`, one row per GPU of the fleet; `/gpus?json=1` is what the page asks for every few seconds."""

    def initialize(self, look: Callable[[], list[Row]]) -> None:
        """Tornado's hook; `look` asks the store, and may take its time."""
        self._look = look

    @authenticated
    async def get(self) -> None:
        """The page, or its rows."""
        if not self.get_argument("json", default=False, type=bool):
            self.render("gpus.html")
            return
        try:
            rows = await IOLoop.current().run_in_executor(None, self._look)
        except (ServerError, OSError, BrokerError) as error:
            self.set_status(503)
            self.write({"error": error.message if isinstance(error, GridqError) else str(error)})
            return
        known = self.application.events.state.tasks
        self.write({"gpus": [row | {"tasks": tasks(row["running"], known)} for row in rows]})


def tasks(running: list[str], known: Mapping[str, Any]) -> list[Row]:
    """Id and name of each task that runs; no name, and no page of Flower's, where it has missed the task's events."""
    return [{"id": each, "name": known[each].name if each in known else None} for each in running]


class LockedMetrics(Metrics):
    """Flower's `/metrics`, which name every task and worker, for those who may see the pages."""

    @authenticated
    async def get(self) -> None:
        """Flower's."""
        await super().get()
