"""A worker's part in the fleet's history: it asks once a minute whether it is the one that takes the sample."""

from __future__ import annotations

import time

from gridq.store import samples
from gridq.store.client import Client

#: Seconds between two samples of the fleet.
INTERVAL = 60.0


class Sampler:
    """Takes the fleet's samples, in turn with every other worker.

    Args:
        life: seconds for which samples are kept; 0 takes none.
        interval: seconds between them.
    """

    def __init__(self, life: float, interval: float = INTERVAL) -> None:
        self._life = life
        self._interval = interval
        self._asks_at = 0.0

    def tick(self, client: Client) -> bool:
        """Take a sample if it is this worker's turn; returns whether it was. Cheap, and meant to be called often."""
        if not self._life or time.monotonic() < self._asks_at:
            return False
        turn = samples.turn(client, self._interval)
        # By Redis' clock the next interval has begun then.
        self._asks_at = time.monotonic() + turn.left
        if turn.mine:
            samples.add(client, samples.take(client), life=self._life)
        return turn.mine
