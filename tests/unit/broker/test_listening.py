"""A channel never waits for a published message that does not come."""

from __future__ import annotations

from queue import Empty
from typing import Any

import pytest

from gridq.broker.listening import Listening


class Connection:
    def __init__(self, readable: bool, error: Exception | None = None) -> None:
        self.readable = readable
        self.error = error

    def can_read(self, timeout: float) -> bool:
        assert timeout == 0
        if self.error:
            raise self.error
        return self.readable


class PubSub:
    def __init__(self, connection: Connection | None) -> None:
        self.connection = connection
        self.asked: dict[str, Any] = {}

    def parse_response(self, block: bool = True, timeout: float | None = 0) -> str:
        self.asked = {"block": block, "timeout": timeout}
        return "message"


class Stock:
    connection_errors = (OSError,)
    _in_listen: Any = True

    def _receive_one(self, c: PubSub) -> str:
        return c.parse_response()


class Channel(Listening, Stock):
    pass


def test_what_has_come_is_read_within_bounds() -> None:
    pubsub = PubSub(Connection(readable=True))
    assert Channel()._receive_one(pubsub) == "message"
    assert pubsub.asked["block"] is False and pubsub.asked["timeout"] > 0


@pytest.mark.parametrize("connection", [Connection(readable=False), None])
def test_where_nothing_has_come_nothing_is_read(connection: Connection | None) -> None:
    pubsub = PubSub(connection)
    try:
        found = Channel()._receive_one(pubsub)
    except Empty:
        found = None
    assert found is None and pubsub.asked == {}


def test_a_connection_that_is_gone_is_listened_to_anew() -> None:
    channel = Channel()
    with pytest.raises(OSError, match="gone"):
        channel._receive_one(PubSub(Connection(readable=True, error=OSError("gone"))))
    assert channel._in_listen is None
