"""What a worker's tasks print and how far they are, passed on to Redis and to the worker's log while they run.

By a thread of its own: neither Redis nor a task that prints a lot must keep the worker from its claims. While Redis is
away, what tasks print waits in their files and in bounded memory.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery import bootsteps

from gridq.broker.connection import open_client
from gridq.errors import BrokerError
from gridq.store.client import Client, ServerError
from gridq.store.output import Limits
from gridq.worker.relay import Relay

logger = logging.getLogger(__name__)

#: Seconds between looks.
TICK = 0.25
#: Looks at the end, for what was printed right before it; Redis may be away for good.
_LAST_LOOKS = 2


class Output(bootsteps.StartStopStep):
    """The bootstep that starts the looking; it goes on until the last task has ended."""

    requires = ("gridq.worker.heartbeat:Heartbeat",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._client: Client | None = None

    def start(self, worker: Any) -> None:
        """Celery's hook."""
        life = worker.gridq
        if life.desk is None:
            return
        limits = Limits(life.settings.output_limit, life.settings.output_total)
        relay = Relay(life.desk, life.holder, limits)
        self._thread = threading.Thread(target=self._look, args=(worker.app, relay), name="gridq-output", daemon=True)
        self._thread.start()

    def stop(self, worker: Any) -> None:
        """Celery's hook. It comes before the pool's, whose tasks may go on for hours."""

    def finish(self) -> None:
        """The last task has ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _look(self, app: Any, relay: Relay) -> None:
        while not self._stopping.wait(TICK):
            self._once(app, relay)
        for _ in range(_LAST_LOOKS):
            if self._once(app, relay):
                break
        relay.close()
        if self._client is not None:
            self._client.close()

    def _once(self, app: Any, relay: Relay) -> bool:
        """One look; returns whether all that there was has been passed on."""
        try:
            relay.read()
            if relay.has_news:
                self._client = self._client or open_client(app)
                relay.tell(self._client)
        except (ServerError, BrokerError, OSError) as error:
            logger.debug("what tasks print waits: %s", error)
            return False
        except Exception:  # A thread that ends silently would keep no output any more.
            logger.exception("could not pass on what tasks print; the next look follows")
            return False
        return not relay.has_news
