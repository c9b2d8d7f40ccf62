"""The claims that this worker process holds, and how it lets go of them on whatever connection lives then."""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gridq.broker.acks import Acks
from gridq.store import claims, dead, leases
from gridq.store.claims import Identity, Offer, Outcome
from gridq.store.client import Client, ServerError
from gridq.store.leases import Charge

logger = logging.getLogger(__name__)


#: How many tasks that have ended are remembered, for what the hardware says of them afterwards.
_MOST_RECENT = 256


def _clock() -> float:
    """Seconds of a clock that all processes of the machine share."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Held:
    """A task in this worker's hands.

    Attributes:
        task_id: Celery's id.
        bytes: of GPU memory that it asked for.
        queue: the list that it was taken from, its priority's suffix apart.
        suffix: that suffix.
        raw: the message.
        since: when it came, seconds of a clock that all processes of the machine share.
        pooled: whether the worker's pool was given it, and not only the worker's main loop.
        pid: of the process that runs it; None before it has begun.
    """

    task_id: str
    bytes: int
    queue: str = ""
    suffix: str = ""
    raw: str = ""
    since: float = field(default_factory=_clock)
    pooled: bool = False
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long things are remembered: `records_ttl` seconds for the record of a finished task, and at the `limit`-th
    loss a task is buried."""

    records_ttl: float
    limit: int


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

    def look_next(self) -> bool:
        """Look for a task at once; returns whether that will be, and take the acks along."""
        ...


class Holder:
    """What one worker process holds.

    Args:
        worker: the worker's name, which nobody else may have while this process lives.
        offer: what the worker can take now, given the queues that it consumes and its free slots; None for nothing.
        objection: why a message can never be run, None if it can.
        keeping: how long things are remembered.
    """

    def __init__(
        self,
        worker: str,
        offer: Callable[[Sequence[str], int], Offer | None],
        objection: Callable[[dict[str, Any]], str | None],
        keeping: Keeping,
    ) -> None:
        self.worker = worker
        self.acks = Acks(worker, keeping.records_ttl)
        self.held: dict[str, Held] = {}
        #: Tasks that were acknowledged as they began (acks_late=False): nothing is claimed any more, but they run here.
        self.early: dict[str, Held] = {}
        self.objection = objection
        #: The queues that ask for a model or a node, as far as this worker has heard.
        self.constrained: set[str] = set()
        #: Claims whose processes we end ourselves: why, and what that counts as.
        self.excused: dict[str, tuple[str, Charge]] = {}
        #: The last tasks that are no longer held, and when that was by the clock of `Held.since`.
        self.recent: deque[tuple[Held, float]] = deque(maxlen=_MOST_RECENT)
        self._offer = offer
        self._keeping = keeping
        #: The token of the worker's lease; it changes when a lease is lost.
        self.token: Callable[[], str] = lambda: ""
        #: What is known of a task that ends, as fields of its record.
        self.measured: Callable[[str], Mapping[str, str]] = lambda claim: {}
        self._process = secrets.token_hex(8) + "-"
        self._serial = itertools.count(1)
        self._outcomes: dict[str, Outcome] = {}
        #: What is to go back, and what it was; None where that was not read yet.
        self._dropped: dict[str, Held | None] = {}
        self._channel: Consuming | None = None

    def attach(self, channel: Consuming) -> None:
        """From now on work on this channel's connection; first finish what the last one could not.

        A claim whose answer was lost with the last connection goes back to its queue.
        """
        self._channel = channel
        self.acks.start_again()
        self._send_acks(channel.store)
        # Before it goes back: a server that lost its memory knows nothing of it.
        self._reassert(channel.store, self.held | {id: task for id, task in self._dropped.items() if task})
        self.settle(channel.store)
        assert channel.identity is not None
        back = claims.take_back(channel.store, channel.identity, self._process, [*self.held, *self.acks.claims])
        if back:
            logger.warning("%s put back %d task(s) that it had claimed but never got", self.worker, back)

    def settle(self, client: Client) -> None:
        """Tell Redis what could not be told before: which tasks ended, and which go back."""
        self._send_acks(client)
        dropped = list(self._dropped)
        if dropped:
            claims.release(client, self.worker, dropped)
            for claim in dropped:
                self._dropped.pop(claim, None)

    def tell_all(self, client: Client) -> bool:
        """This process is going to end: tell Redis all that it may not have heard; returns whether it has now."""
        self.acks.start_again()
        self.settle(client)
        return not (self.acks.claims or self._dropped)

    def reassert(self, client: Client) -> None:
        """Say again what this worker holds, to a server that may have forgotten it."""
        # What is dropped is not said here: another thread may be giving it back just now.
        self._reassert(client, dict(self.held))

    def _reassert(self, client: Client, held: Mapping[str, Held]) -> None:
        # It may have forgotten these too, and learnt as many others since: their number alone would not tell.
        self.constrained = set()
        said = [(id, task.queue, task.suffix, task.task_id, task.raw) for id, task in held.items()]
        gone = leases.reassert(client, self.worker, self.token(), said)
        for claim in gone:
            if claim in self.held:  # What was to go back may well be another's by now.
                logger.error("task %s is held by %s and by another worker", held[claim].task_id, self.worker)

    def offer(self, queues: Sequence[str], slots: int) -> Offer | None:
        """What the worker can take now; None while it takes no work."""
        offer = self._offer(queues, slots) if slots > 0 else None
        return offer and replace(offer, token=self.token())

    def learn_queues(self, count: int) -> bool:
        """Told how many constrained queues there are, read their names if some are new; returns whether it did."""
        if self._channel is None or count == len(self.constrained):
            return False
        self.constrained = claims.constrained_queues(self._channel.store)
        return True

    def next_claim(self) -> str:
        """A claim id that was never used before."""
        return f"{self._process}{next(self._serial)}"

    def note(self, claim: str, outcome: Outcome) -> None:
        """Say how a task ended, before its claim is acked."""
        self._outcomes[claim] = outcome

    def gave(self, claim: str) -> None:
        """The pool was given the task."""
        if claim in self.held:
            self.held[claim] = replace(self.held[claim], pooled=True)

    def began(self, claim: str, pid: int) -> None:
        """That process runs the task now."""
        if claim in self.held:
            self.held[claim] = replace(self.held[claim], pid=pid)

    @property
    def running(self) -> dict[str, Held]:
        """All that takes up room here, claimed or not."""
        return self.held | self.early

    def acks_early(self, claim: str) -> None:
        """The task is going to be acked although it has only just begun."""
        if claim in self.held:
            self.early[claim] = self.held[claim]

    def ended(self, claim: str) -> None:
        """A task that may have been acked early has ended."""
        held = self.early.pop(claim, None)
        if held is not None and claim not in self.held:
            self.recent.append((held, _clock()))

    def ack(self, claim: str) -> None:
        """The task has ended: let go of it for good. While Redis is away the ack waits for the next connection."""
        outcome = self._outcomes.get(claim, Outcome())
        self.acks.add(claim, replace(outcome, measured=self.measured(claim)))
        self._forget(claim)
        if self._channel is not None and not self._channel.look_next():
            self._send_acks(self._channel.store)

    def release(self, claim: str) -> None:
        """Put a task back in front of its queue."""
        self.drop(claim)
        if self._channel is not None:
            try:
                self.settle(self._channel.store)
            except (ServerError, OSError) as error:
                logger.warning("claim %s goes back to its queue once Redis answers: %s", claim, error)

    def drop(self, claim: str) -> None:
        """Forget a task that no longer runs here; at the next chance it goes back to its queue, no loss counted."""
        self._dropped[claim] = self._forget(claim)

    def excuse(self, claim: str, reason: str, *, counter: str = "") -> None:
        """The process of this task is going to be ended by us, for this reason, which is not the task's doing.

        Args:
            counter: what it counts as all the same, see `leases.Charge`.
        """
        if claim in self.held:
            self.excused[claim] = (reason, Charge(counter, self._keeping.limit))

    def lose(self, claim: str, reason: str) -> None:
        """A task's process died: it goes back to its queue, or to the dead letters if that happened too often."""
        reason, charge = self.excused.get(claim, (reason, Charge("losses", self._keeping.limit)))
        task = self._forget(claim)
        self.ended(claim)
        if self._channel is None:
            self._dropped[claim] = task
            return
        try:
            state = leases.lose(self._channel.store, self.worker, claim, reason, charge)
            known = {"task_id": task.task_id} if task else {}
            logger.warning("claim %s: %s; the task is %s now", claim, reason, state, extra=known)
        except (ServerError, OSError) as error:
            logger.warning("claim %s goes back to its queue once Redis answers: %s", claim, error)
            self._dropped[claim] = task

    def bury(self, claim: str, reason: str) -> None:
        """No worker can run this message: to the dead letters with it. While Redis is away it goes back, to be found
        wanting again."""
        task = self._forget(claim)
        try:
            assert self._channel is not None
            dead.bury(self._channel.store, self.worker, claim, reason)
        except (ServerError, OSError) as error:
            logger.warning("claim %s goes back to its queue once Redis answers: %s", claim, error)
            self._dropped[claim] = task

    def _forget(self, claim: str) -> Held | None:
        held = self.held.pop(claim, None)
        if held is not None and claim not in self.early:
            self.recent.append((held, _clock()))
        self._outcomes.pop(claim, None)
        self.excused.pop(claim, None)
        return held

    def _send_acks(self, client: Client) -> None:
        channel, wake = self._channel, ""
        if channel is not None and channel.identity is not None and channel.is_napping:
            wake = channel.identity.consumer
        self.acks.send(client, wake)
