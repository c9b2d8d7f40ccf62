"""Fanout messages (remote control, replies) read without ever waiting for ever."""

from __future__ import annotations

from functools import partial
from typing import Any

#: Seconds within which the rest of a message that has begun to come must be here.
_REST = 5.0

#: Mixed into classes of kombu, whose attributes it uses.
_Mixed: Any = object


class Listening(_Mixed):
    """The part of a channel that reads what is published; mixed into kombu's Redis and Sentinel channels."""

    def _receive_one(self, c: Any) -> Any:
        # kombu's own reads without a timeout. An event of a socket that was replaced meanwhile makes it read from one
        # that says nothing, and a cable that is cut within a message leaves it waiting for the rest: the worker's main
        # loop would hang for ever.
        try:
            if c.connection is None or not c.connection.can_read(timeout=0):
                return None
        except self.connection_errors:
            self._in_listen = None
            raise
        c.parse_response = partial(type(c).parse_response, c, block=False, timeout=_REST)
        return super()._receive_one(c)
