"""The claims that this worker process holds, and how it lets go of them on whatever connection lives then."""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gridq.store import claims
from gridq.store.claims import Identity, Offer, Outcome
from gridq.store.client import Client, ServerError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A task in this worker's hands: its id, and the bytes of GPU memory that it asked for."""

    task_id: str
    bytes: int


class Consuming(Protocol):
    """The channel on which the holder's worker looks for tasks now."""

    identity: Identity | None

    @property
    def store(self) -> Client:
        """Commands on the channel's connection pool."""
        ...

    @property
    def is_napping(self) -> bool:
        """Whether it found nothing and waits to be woken."""
        ...


class Holder:
    """What one worker process holds.

    Args:
        worker: the worker's name, which nobody else may have while this process lives.
        offer: what the worker can take now, given the queues that it consumes and its free slots; None for nothing.
        records_ttl: seconds for which the record of a finished task is kept.
    """

    def __init__(self, worker: str, offer: Callable[[Sequence[str], int], Offer | None], *, records_ttl: float) -> None:
        self.worker = worker
        self.token = secrets.token_hex(8)
        self.held: dict[str, Held] = {}
        self._offer = offer
        self._records_ttl = records_ttl
        self._serial = itertools.count(1)
        self._outcomes: dict[str, Outcome] = {}
        self._unsent: dict[str, Outcome] = {}
        self._channel: Consuming | None = None
        #: The queues that ask for a model or a node, as far as this worker has heard.
        self.constrained: set[str] = set()

    def attach(self, channel: Consuming) -> None:
        """From now on work on this channel's connection; first finish what the last one could not.

        A claim whose answer was lost with the last connection, or that a former self held, goes back to its queue.
        """
        self._channel = channel
        for claim in list(self._unsent):
            self._send_ack(claim)
        back = claims.take_back(channel.store, self.worker, [*self.held, *self._unsent])
        if back:
            logger.warning("%s put back %d task(s) that it had claimed but never got", self.worker, back)

    def offer(self, queues: Sequence[str], slots: int) -> Offer | None:
        """What the worker can take now; None while it takes no work."""
        return self._offer(queues, slots) if slots > 0 else None

    def learn_queues(self, count: int) -> bool:
        """Told how many constrained queues there are, read their names if some are new; returns whether it did."""
        if self._channel is None or count == len(self.constrained):
            return False
        self.constrained = claims.constrained_queues(self._channel.store)
        return True

    def next_claim(self) -> str:
        """A claim id that was never used before."""
        return f"{self.token}-{next(self._serial)}"

    def note(self, claim: str, outcome: Outcome) -> None:
        """Say how a task ended, before its claim is acked."""
        self._outcomes[claim] = outcome

    def ack(self, claim: str) -> None:
        """The task has ended: let go of it for good. While Redis is away the ack waits for the next connection."""
        self.held.pop(claim, None)
        self._unsent[claim] = self._outcomes.pop(claim, Outcome())
        self._send_ack(claim)

    def release(self, claim: str) -> None:
        """Put a task back in front of its queue. While Redis is away, `attach` does it."""
        self.held.pop(claim, None)
        self._outcomes.pop(claim, None)
        if self._channel is None:
            return
        try:
            claims.release(self._channel.store, self.worker, [claim])
        except (ServerError, OSError) as error:
            logger.warning("claim %s goes back to its queue at the next connection: %s", claim, error)

    def _send_ack(self, claim: str) -> None:
        channel = self._channel
        if channel is None:
            return
        outcome = self._unsent[claim]
        wake = channel.identity.consumer if channel.is_napping and channel.identity else ""
        try:
            ours = claims.ack(channel.store, self.worker, claim, outcome, life=self._records_ttl, wake=wake)
        except (ServerError, OSError) as error:
            logger.warning("the end of claim %s is told to Redis at the next connection: %s", claim, error)
            return
        del self._unsent[claim]
        if not ours:
            logger.warning("claim %s had been taken from %s before its task ended", claim, self.worker)
