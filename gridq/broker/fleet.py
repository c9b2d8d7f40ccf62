"""The snapshot of the fleet that routing looks at, at most half a second old."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from gridq.errors import BrokerAwayError
from gridq.placement.decision import Snapshot
from gridq.store import workers
from gridq.store.client import Client, ServerError

logger = logging.getLogger(__name__)


class Fleet:
    """A cached view of the living workers and of every GPU ever seen.

    Args:
        connect: opens a store client; called at the first look.
        max_age: seconds for which a snapshot is used again.
    """

    def __init__(self, connect: Callable[[], Client], *, max_age: float) -> None:
        self._connect = connect
        self._max_age = max_age
        self._client: Client | None = None
        self._snapshot: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """The fleet as of at most `max_age` seconds ago; empty when Redis does not say, since publishing goes on."""
        if self._snapshot is None or time.monotonic() - self._snapshot.taken_at > self._max_age:
            self._snapshot = self._take()
        return self._snapshot

    def _take(self) -> Snapshot:
        try:
            if self._client is None:
                self._client = self._connect()
            return Snapshot(
                workers=tuple(workers.living(self._client)),
                seats=tuple(workers.seats_seen(self._client)),
                taken_at=time.monotonic(),
            )
        except (ServerError, OSError, BrokerAwayError) as error:
            # Whether a server that is away is tried again is the publish policy's to say, not the snapshot's.
            logger.warning("no snapshot of the fleet, the task waits in its shared queue: %s", error)
            return Snapshot(workers=(), seats=None, taken_at=time.monotonic())
