"""What the Redis server says of itself: version, persistence, memory, replicas; None for what it does not tell."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gridq.store.client import Client, RefusedError


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server at one moment.

    Attributes:
        info: what INFO says, every value as text; None where it may not be asked.
        settings: what CONFIG GET says of the settings named below; None where it may not be asked.
        round_trips: seconds that each of several PINGs took, in the order in which they were sent.
        ahead: seconds that its clock is ahead of this host's, uncertain by half of a round trip.
    """

    info: dict[str, str] | None
    settings: dict[str, str] | None
    round_trips: list[float] = field(default_factory=list)
    ahead: float = 0.0

    @property
    def name(self) -> str:
        """`redis` or `valkey`."""
        return (self.info or {}).get("server_name", "redis")

    @property
    def version(self) -> str | None:
        """Its own version, `7.0.15`; None where it may not be asked."""
        said = self.info or {}
        return said.get(f"{self.name}_version") or said.get("redis_version")


_SETTINGS = ("appendfsync", "save", "min-replicas-to-write", "min-replicas-max-lag")


def ask(client: Client, *, pings: int = 1) -> ServerFacts:
    """Everything that the server lets us see.

    Args:
        pings: how many round trips are timed.

    Raises:
        ServerError: when it does not answer.
    """
    # The first one may have to connect.
    client.redis.ping()
    round_trips = []
    for _ in range(pings):
        began = time.perf_counter()
        client.redis.ping()
        round_trips.append(time.perf_counter() - began)
    return ServerFacts(_info(client), _settings(client), round_trips, _ahead(client))


def _info(client: Client) -> dict[str, str] | None:
    try:
        # Sections of their own in a hash are replicas and databases, of which nothing is asked here.
        return {str(name): str(value) for name, value in client.redis.info().items()}
    except RefusedError:
        return None


def _settings(client: Client) -> dict[str, str] | None:
    found: dict[str, str] = {}
    try:
        # One by one: several at a time came with Redis 7.
        for setting in _SETTINGS:
            found |= {_text(name): _text(value) for name, value in client.redis.config_get(setting).items()}
    except RefusedError:
        return None
    return found


def _ahead(client: Client) -> float:
    began = time.time()
    there = client.now()
    return there - (began + time.time()) / 2


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
