"""Celery's remote control, whose `revoke` also ends what waits in Redis: no worker need be there to hear of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from celery.app.control import Control as StockControl
from kombu.exceptions import OperationalError

from gridq.broker.connection import open_client
from gridq.broker.context import context_of
from gridq.broker.posting import suffixes
from gridq.store import cancels, telling
from gridq.store.cancels import Cancelled
from gridq.store.client import Client, RefusedError, forbid

#: What a task's caller reads in TaskRevokedError.
REASON = "revoked"


class Control(StockControl):
    """`app.control` of an app that gridq is installed in."""

    _store: Client | None = None

    def revoke(
        self, task_id: Any, destination: Any = None, terminate: bool = False, signal: str = "SIGTERM", **kwargs: Any
    ) -> Any:
        """Celery's, for one id or several; tasks that wait, also for their time, end at once.

        With `destination` only those workers are told, and what waits is left for the others, as Celery has it.

        Raises:
            BrokerError: when the broker cannot be reached.
            ForbiddenError: when its ACL does not let this user cancel tasks.
        """
        if destination is None:
            ids = [task_id] if isinstance(task_id, str) else list(task_id)
            if self._store is None:
                self._store = open_client(self.app)
            cancel(self.app, self._store, ids, terminate=terminate)
        try:
            return super().revoke(task_id, destination=destination, terminate=terminate, signal=signal, **kwargs)
        except (RefusedError, OperationalError) as error:
            forbid(error)
            raise

    def end_running(self, ids: list[str]) -> None:
        """Let the workers that run these tasks end them; whoever does not run them does nothing."""
        super().revoke(ids, terminate=True, signal="SIGTERM")


def cancel(app: Any, client: Client, ids: Iterable[str], *, terminate: bool) -> list[Cancelled]:
    """Cancel what waits, and tell its callers; note of what runs that it shall not run again.

    Args:
        terminate: whether what runs shall end too; its worker has still to be told.
    """
    found = cancels.cancel(client, ids, suffixes(app), life=app.gridq_settings.records_ttl, running=terminate)
    for task in found:
        if task.ended:
            tell(app, client, task.id, task.message)
    return found


def tell(app: Any, client: Client, task_id: str, message: str) -> None:
    """Give the caller of a cancelled task TaskRevokedError, unless somebody else is doing so."""
    if telling.begin(client, cancels.UNTOLD, task_id):
        app.backend.mark_as_revoked(task_id, REASON, request=context_of(app, task_id, message))
        telling.end(client, cancels.UNTOLD, task_id)
