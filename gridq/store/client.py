"""The one place that talks to Redis: commands with a key prefix, and scripts that survive a restart of the server."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.exceptions import NoScriptError as NoScriptError

#: What a lost or refusing server raises.
ServerError = redis.RedisError


@cache
def script_text(name: str) -> str:
    """The Lua source of a script, the shared functions of `shared.lua` before it."""
    folder = files("gridq.store") / "scripts"
    return (folder / "shared.lua").read_text() + (folder / f"{name}.lua").read_text()


@cache
def script_sha(name: str) -> str:
    """What EVALSHA calls the script."""
    return hashlib.sha1(script_text(name).encode(), usedforsecurity=False).hexdigest()


class Client:
    """Redis over a connection pool, every key behind a prefix.

    Args:
        pool: a redis-py connection pool; kombu's own where a worker or a producer uses the store.
        prefix: kombu's `global_keyprefix`.
    """

    def __init__(self, pool: redis.ConnectionPool, prefix: str = "") -> None:
        self.pool = pool
        self.prefix = prefix
        self.redis: redis.Redis = redis.Redis(connection_pool=pool)

    def run(self, script: str, *arguments: str | bytes | int | float) -> Any:
        """Run the named script with the key prefix as its first argument; loads it where the server forgot it."""
        arguments = (self.prefix, *arguments)
        try:
            return self.redis.execute_command("EVALSHA", script_sha(script), 0, *arguments)
        except NoScriptError:
            return self.redis.execute_command("EVAL", script_text(script), 0, *arguments)

    def command(self, name: str, key: str, *arguments: str | bytes | int | float) -> Any:
        """One command on one key; the reply as redis-py gives it."""
        return self.redis.execute_command(name, self.prefix + key, *arguments)

    def commands(self, calls: Sequence[tuple[str | int | float, ...]]) -> list[Any]:
        """Several commands in one round trip, each `(name, key, *arguments)`; no transaction."""
        with self.redis.pipeline(transaction=False) as pipe:
            for name, key, *arguments in calls:
                pipe.execute_command(name, f"{self.prefix}{key}", *arguments)
            return pipe.execute()

    def now(self) -> float:
        """Redis' clock in seconds; the only clock that gridq compares."""
        seconds, micros = self.redis.execute_command("TIME")
        return float(seconds) + float(micros) / 1e6

    def close(self) -> None:
        """Give the pool's connections back to the system."""
        self.pool.disconnect()
