"""Task messages on their way out: each goes through put.lua, on one client for as long as the connection pool lives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gridq.broker.posting import is_task, posting_of
from gridq.store import claims
from gridq.store.client import NO_RETRY, Client

#: What broker_transport_options can say beside what kombu knows, see the settings of these names.
OPTIONS = ("confirm", "confirm_timeout")

#: Mixed into classes of kombu, whose attributes it uses.
_Mixed: Any = object


class Publishing(_Mixed):
    """The part of a channel that publishes; mixed into kombu's Redis and Sentinel channels."""

    confirm = "none"
    confirm_timeout = 1.0
    _commands: tuple[Any, Any, Client] | None = None

    @property
    def store(self) -> Client:
        """Commands on this channel's pool, one client for the pool's whole life."""
        return self._clients()[1]

    def _clients(self) -> tuple[Any, Client]:
        pool = self.pool
        if self._commands is None or self._commands[0] is not pool:
            client = self._create_client()
            self._commands = (pool, client, Client(pool, self.global_keyprefix))
        return self._commands[1:]

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        # kombu builds a new redis.Redis for every command, a fifth of the time of a publish.
        yield client or self._clients()[0]

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        if not is_task(message):
            super()._put(queue, message, **kwargs)
            return
        suffix = self._q_for_pri("", self._get_message_priority(message))
        posting = posting_of(queue, suffix, message)
        batch = kwargs.get("_publish_batch")
        if batch is not None:
            batch.add("eval", *claims.put_command(posting, self.global_keyprefix))
        elif self.confirm == "none":
            claims.put(self.store, posting)
        else:
            claims.put_confirmed(self.store, posting, self.confirm, self.confirm_timeout)

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._connparams(asynchronous)
        # Texts of tasks, such as what they failed with, may hold what is no UTF-8: half a character, part of a file's
        # name. Whoever could not tell Redis of it would end, and so would the next worker that runs the task.
        return parameters | {"retry": NO_RETRY, "encoding_errors": "backslashreplace"}
