"""The acks of one worker process: on their way to Redis at once, with its next look, or when Redis is back."""

from __future__ import annotations

import logging
import threading

from gridq.store import claims
from gridq.store.claims import Outcome
from gridq.store.client import Client, ServerError

logger = logging.getLogger(__name__)


class Acks:
    """What a worker has to say of tasks that have ended, until Redis has answered.

    Args:
        worker: the worker's name.
        life: seconds for which the records of its tasks are kept from then on.
    """

    def __init__(self, worker: str, life: float) -> None:
        self._worker = worker
        self._life = life
        self._unsent: dict[str, Outcome] = {}
        #: Those of them that are on their way, by whichever thread.
        self._on_way: set[str] = set()
        self._lock = threading.Lock()

    def add(self, claim: str, outcome: Outcome) -> None:
        """A task has ended."""
        self._unsent[claim] = outcome

    @property
    def claims(self) -> list[str]:
        """Those that Redis has not answered for."""
        return list(self._unsent)

    def start_again(self) -> None:
        """The last connection is gone, and what went along with a look may not have arrived."""
        self._on_way.clear()

    def carry(self, prefix: str) -> dict[str, tuple[str | int, ...]]:
        """Those that have not been sent, as commands by claim: who asks sends them at once, and calls `answered`.

        Who waits for the answer to an ack before it looks for the next task waits twice for each task.
        """
        return {
            claim: claims.ack_command(self._worker, claim, outcome, life=self._life, prefix=prefix)
            for claim, outcome in self._take()
        }

    def answered(self, claim: str, ours: bool | None) -> None:
        """What Redis says of an ack: whether the claim was still this worker's; None if it does not say."""
        if ours is not None:
            self._unsent.pop(claim, None)
        self._on_way.discard(claim)
        if ours is False:
            logger.warning("claim %s had been taken from %s before its task ended", claim, self._worker)

    def send(self, client: Client, wake: str = "") -> None:
        """Send those that have not been sent, and wait for the answers.

        Args:
            wake: the consumer that sleeps although a slot is free now; "" for none.
        """
        for claim, outcome in self._take():
            ours = None
            try:
                ours = claims.ack(client, self._worker, claim, outcome, life=self._life, wake=wake)
            except (ServerError, OSError) as error:
                logger.warning("the end of claim %s is told to Redis once it answers: %s", claim, error)
            finally:
                self.answered(claim, ours)

    def _take(self) -> list[tuple[str, Outcome]]:
        with self._lock:
            # A copy: other threads add to it and take from it meanwhile.
            unsent = list(self._unsent.items())
            taken = [(claim, outcome) for claim, outcome in unsent if claim not in self._on_way]
            self._on_way.update(claim for claim, _ in taken)
        return taken
