"""kombu's Redis transport, with claims: a message is popped and written down as held in one atomic step.

A worker's task channel alternates between a look (claim.lua, answered at once) and a nap (BLPOP on its own wake list,
one second at most, or until the next delayed message is due). All other channels (replies, remote control, consumers
of other programs) stay as kombu made them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from queue import Empty
from threading import get_ident
from time import monotonic
from typing import Any

from kombu.log import get_logger
from kombu.transport import redis as stock

from gridq.broker.claimed import Claimed
from gridq.broker.holder import Held, Holder
from gridq.broker.listening import Listening
from gridq.broker.posting import PUT, seconds_until
from gridq.broker.publishing import OPTIONS, Publishing
from gridq.broker.qos import ClaimQoS
from gridq.logs.facts import ATTEMPT
from gridq.queues import vram_ceiling
from gridq.store import claims
from gridq.store.claims import Identity, Offer
from gridq.store.client import NoScriptError, ServerError

logger = get_logger(__name__)

#: What a task channel asked Redis last: for a task, or to be woken.
_LOOK, _NAP = "look", "nap"


class Claiming(Publishing, Listening):
    """The part of a channel that claims; mixed into kombu's Redis and Sentinel channels."""

    holder: Holder | None = None
    identity: Identity | None = None
    _claim = ""
    _nap = 0.0
    _asked: str | None = None
    _script_unknown = False
    #: Claims whose acks went along with the look that is under way, in the order of the answers.
    _carried: Sequence[str] = ()
    _thread = 0

    def hold_for(self, holder: Holder) -> None:
        """Look for tasks for this worker from now on."""
        self.holder = holder
        self._thread = get_ident()
        self._qos = ClaimQoS(self, self.qos.prefetch_count, holder)
        self._attach(holder)

    def _attach(self, holder: Holder) -> None:
        """Work on a new connection, by a new identity: what the dead one asked may yet arrive, and claims nothing."""
        self.identity = Identity(holder.worker, f"{holder.worker}:{secrets.token_hex(4)}")
        holder.attach(self)
        self._asked = None

    @property
    def is_napping(self) -> bool:
        """Whether the channel found nothing and waits to be woken."""
        return self._asked == _NAP and bool(self._in_poll)

    def look_next(self) -> bool:
        """Look for a task at the loop's next turn, which takes the acks along; returns whether that will be."""
        if self._in_poll or not self.active_queues or get_ident() != self._thread:
            return False
        # What ended has made room: a nap that has not begun is left out.
        self._nap = 0.0
        return bool(self.qos.can_consume())

    @property
    def suffixes(self) -> list[str]:
        """What stands behind a queue's name for each priority step, the most urgent first."""
        return [self._q_for_pri("", step) for step in self.priority_steps]

    def _brpop_start(self, timeout: float | None = None) -> None:
        if self.holder is None:
            super()._brpop_start(timeout)
            return
        queues = self.active_queues
        if not queues:
            return
        if self._asked is not None:
            # Its answer was never read: kombu found it overdue, and gave up the connection.
            self._attach(self.holder)
        offer = None if self._nap else self._offer(self.holder, queues)
        if offer is None:
            self.holder.settle(self.store)
        connection = self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        assert self.identity is not None
        if offer is None:
            self._asked = _NAP
            wake = f"{self.global_keyprefix}gridq:wake:{self.identity.consumer}"
            connection.send_command("BLPOP", wake, f"{self._nap or self.brpop_timeout:.3f}")
            return
        self._asked = _LOOK
        self._claim = self.holder.next_claim()
        look = claims.claim_command(self.identity, self._claim, offer, self.suffixes, self.global_keyprefix)
        acks = self.holder.acks.carry(self.global_keyprefix)
        self._carried = list(acks)
        commands = [*acks.values(), claims.without_sha(look) if self._script_unknown else look]
        connection.send_packed_command(connection.pack_commands(commands))

    def _offer(self, holder: Holder, queues: list[str]) -> Offer | None:
        """What the worker can take now. While its gate is shut, what was placed on it goes to others."""
        offer = holder.offer(queues, self.qos.free_slots)
        if offer is None or holder.worker not in offer.queues:
            assert self.identity is not None
            claims.retire(self.store, self.identity, self.suffixes)
        return offer

    def _brpop_read(self, **options: Any) -> bool:
        if self._asked is None:
            # Celery may have consumed replies on this channel before it became the task channel.
            return bool(super()._brpop_read(**options))
        try:
            found = self._read_reply(**options)
        finally:
            self._in_poll = self._asked = None
            self._flush_brpop_reauth()
        if found is None:
            raise Empty()
        self._hand_out(found)
        return True

    def _read_reply(self, **options: Any) -> Claimed | None:
        """The message that was claimed, or None after an empty look, a nap or a refusal."""
        connection = self.client.connection
        napping, self._nap = self._asked == _NAP, 0.0
        try:
            self._read_acks()
            reply = self.client.parse_response(connection, "BLPOP" if napping else "EVALSHA", **options)
        except NoScriptError:
            self._script_unknown = True
            return None
        except self.connection_errors:
            connection.disconnect()
            raise
        except self.ResponseError as error:
            logger.error("Redis refused to hand out a task, the next try is in a second: %s", error)
            self._nap = 1.0
            if "READONLY" in str(error):
                # The primary became a replica and kept its connections: a new one leads to the new primary.
                connection.disconnect()
            return None
        if napping:
            return None
        self._script_unknown = False
        assert self.holder is not None
        learnt = self.holder.learn_queues(int(reply[2]))
        if reply[0]:
            return Claimed.of(reply)
        if not learnt:
            self._nap = float(self.brpop_timeout)
            due_ms = int(reply[1])
            if due_ms >= 0:
                self._nap = min(self._nap, max(0.001, due_ms / 1000))
        return None

    def _read_acks(self) -> None:
        """The answers to what went along with the look; what a server without the script did not take goes again."""
        assert self.holder is not None
        carried, self._carried = self._carried, ()
        refused = False
        for claim in carried:
            ours: bool | None = None
            try:
                ours = bool(self.client.parse_response(self.client.connection, "EVALSHA"))
            except self.ResponseError:
                refused = True
            self.holder.acks.answered(claim, ours)
        if refused:
            self.holder.settle(self.store)

    def _hand_out(self, claimed: Claimed) -> None:
        holder, claim = self.holder, self._claim
        assert holder is not None
        if not self.active_queues:
            holder.release(claim)
            return
        try:
            payload, objection = claimed.read()
            objection = objection or holder.objection(payload)
            if not objection:
                self._prepare(payload, claimed)
        except (ServerError, OSError) as error:
            # The message is sound; Redis would not let it wait.
            logger.warning("a message of queue %s goes back there, since Redis failed: %s", claimed.queue, error)
            holder.release(claim)
            self._nap = 1.0
            return
        except Exception as error:  # noqa: BLE001 (whatever a foreign message can do to us, it must not do to every worker)
            objection = f"it cannot be read: {type(error).__name__}: {error}"
        if not objection and claim in holder.held:
            objection = self._give_to_celery(payload, claimed.queue)
        if objection:
            logger.error("a message of queue %s goes to the dead letters: %s", claimed.queue, objection)
            holder.bury(claim, objection)
            self.qos.settled(claim)

    def _give_to_celery(self, payload: dict[str, Any], queue: str) -> str | None:
        """Let Celery make a request of the message. Returns why it cannot, where it has not let go of it by itself."""
        # Queues that workers find by themselves have no consumer of their own; all share one callback.
        known = queue in self.connection._callbacks
        try:
            self.connection._deliver(payload, queue if known else self.active_queues[0])
        except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            # What stands in the message where Celery expects something else would end every worker that takes it.
            objection = f"Celery cannot take it: {type(error).__name__}: {error}"
            if self.holder and self._claim in self.holder.held:
                return objection
            logger.error("a message of queue %s is settled already, but %s", queue, objection)
        return None

    def _prepare(self, payload: dict[str, Any], claimed: Claimed) -> None:
        """Put off what is not due yet; hold what is, as Celery wants to see it."""
        holder, claim = self.holder, self._claim
        assert holder is not None
        properties, headers = payload["properties"], payload.get("headers") or {}
        # What gridq published was due by Redis' clock when it came here; ours may be slow.
        if PUT not in properties and (wait := seconds_until(headers.get("eta"))) > 0:
            claims.postpone(self.store, holder.worker, claim, wait)
            return
        if headers.get("eta"):
            headers["eta"] = None  # It was waited for in Redis; Celery need not look at its own clock again.
        if claimed.attempt:
            headers[ATTEMPT] = claimed.attempt
        if claimed.requeues:
            # So Celery looks whether the result was stored before the worker was lost.
            properties.setdefault("delivery_info", {})["redelivered"] = True
        properties["delivery_tag"] = claim
        needs = headers.get("gridq") or {}
        task_id = str(properties.get("correlation_id", ""))
        amount = int(needs.get("vram", vram_ceiling(claimed.queue)))
        holder.held[claim] = Held(task_id, amount, claimed.queue, claimed.suffix, claimed.raw)

    # -- stopping

    def _basic_cancel(self, consumer_tag: str) -> Any:
        result = super()._basic_cancel(consumer_tag)
        if self.holder is not None and not self.active_queues:
            self._stop_looking()
        return result

    def close(self) -> None:
        if self.holder is not None and not self.closed:  # Celery may close it twice.
            self._stop_looking()
        super().close()

    def _stop_looking(self) -> None:
        """Give back what is on its way here, so that nothing waits for a consumer that is gone."""
        assert self.holder is not None and self.identity is not None
        try:
            if self._in_poll and self._asked == _LOOK:
                if self._read_reply() is not None:
                    self.holder.release(self._claim)
            elif self._in_poll:
                self.client.connection.disconnect()
            self.holder.settle(self.store)
            claims.retire(self.store, self.identity, self.suffixes)
        except (ServerError, OSError, *self.connection_errors) as error:
            logger.debug("could not say goodbye to Redis, which finds out by itself: %s", error)
        finally:
            self._in_poll = self._asked = None


class Channel(Claiming, stock.Channel):
    """A channel to one Redis server."""

    from_transport_options = (*stock.Channel.from_transport_options, *OPTIONS)


class SentinelChannel(Claiming, stock.SentinelChannel):
    """A channel to whichever server Sentinel calls the master."""

    from_transport_options = (*stock.SentinelChannel.from_transport_options, *OPTIONS)


class Transport(stock.Transport):
    """redis:// and rediss://"""

    Channel = Channel


class SentinelTransport(stock.SentinelTransport):
    """sentinel://"""

    Channel = SentinelChannel
