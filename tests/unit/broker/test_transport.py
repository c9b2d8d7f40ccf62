"""A message that a worker has just claimed, while Redis goes away."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from gridq.broker.claimed import Claimed
from gridq.broker.holder import Holder, Keeping
from gridq.broker.transport import Claiming
from gridq.store.claims import Identity, Offer


class Server:
    """A client that writes down which scripts ran, while it is there."""

    prefix = ""

    def __init__(self) -> None:
        self.there = False
        self.ran: list[str] = []

    def run(self, script: str, *arguments: Any) -> Any:
        if not self.there:
            raise redis.ConnectionError("away")
        self.ran.append(script)
        return [] if script == "reassert" else 0


class Channel(Claiming):
    """What claims, without kombu's channel behind it."""

    identity = Identity("gpu0@node1", "gpu0@node1:c1")
    active_queues = ("gpu",)
    is_napping = False
    store: Any = None

    def __init__(self, holder: Holder) -> None:
        self.store = Server()
        self.holder = holder
        self._claim = holder.next_claim()


def test_a_sound_message_that_could_not_be_put_off_is_not_buried() -> None:
    holder = Holder("gpu0@node1", lambda queues, slots: Offer(queues, slots), lambda payload: None, Keeping(60, 3))
    channel = Channel(holder)
    holder._channel = channel
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    raw = json.dumps({"properties": {"correlation_id": "t1"}, "headers": {"task": "shop.work", "eta": later}})
    channel._hand_out(Claimed("gpu", "", raw, 0, 1))
    channel.store.there = True
    holder.settle(channel.store)
    assert channel.store.ran == ["release"]
