"""The one place that talks to Redis: commands with a key prefix, and scripts that survive a restart of the server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import NoScriptError as NoScriptError
from redis.retry import Retry

from gridq.errors import GridqError

#: What a lost or refusing server raises.
ServerError = redis.RedisError

#: What a server raises that does not know the user, or not with this password.
StrangerError = AuthenticationError

#: What a server answers that is there, but does not do what it was asked: a forbidden command, an error of a script.
RefusedError = ResponseError

#: What a server raises that is not there, and what is tried again for.
LostError = redis.ConnectionError

#: What the server says where a script was not allowed a command or a key: Redis 7.0, and newer ones and Valkey.
_REFUSED_IN_SCRIPT = ("The user executing the script can't", "ACL failure in script")


class ForbiddenError(GridqError, ResponseError):
    """The broker's ACL does not let this user do it."""


#: redis-py's own tries would add up with kombu's, and keep a caller waiting for minutes.
NO_RETRY = Retry(NoBackoff(), 0)


#: What scripts begin with: each of these stands behind those before it. Redis runs all of a script's text at each call,
#: so a script has no more in front of it than it says it needs.
_PRELUDE = ("shared", "records", "flow", "losses")
_BEHIND = re.compile(r"^-- Stands (?:alone|behind (\w+)\.lua)\.$", re.MULTILINE)


@cache
def script_text(name: str) -> str:
    """The Lua source of a script, the functions that it shares with others before it."""
    folder = files("gridq.store") / "scripts"
    text = (folder / f"{name}.lua").read_text()
    said = _BEHIND.search(text)
    assert said is not None, f"{name}.lua does not say behind what it stands"
    before = _PRELUDE[: _PRELUDE.index(said[1]) + 1] if said[1] else ()
    return "".join((folder / f"{part}.lua").read_text() for part in before) + text


@cache
def script_sha(name: str) -> str:
    """What EVALSHA calls the script."""
    return hashlib.sha1(script_text(name).encode(), usedforsecurity=False).hexdigest()


def forbid(error: Exception) -> None:
    """Raise ForbiddenError in the place of an error that comes of a missing right; else do nothing."""
    told = str(error)
    if (
        isinstance(error, NoPermissionError)
        or isinstance(error.__cause__, NoPermissionError)
        or any(words in told for words in _REFUSED_IN_SCRIPT)
    ):
        raise ForbiddenError(
            f"expected the broker to let this user do what was asked, it answered: {told}",
            hint="its role has not the right; `gridq acl` and docs/security.md say what each role may do",
        ) from error


@contextmanager
def try_again_later() -> Iterator[None]:
    """Raise LostError where the server takes no writes for now: a full one, or one that is the primary no more.

    Often it is for a moment, and what a task has worked for would be lost.
    """
    try:
        yield
    except (ReadOnlyError, OutOfMemoryError) as refusal:
        raise LostError(str(refusal)) from refusal


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
        with self._understanding():
            try:
                return self.redis.execute_command("EVALSHA", script_sha(script), 0, *arguments)
            except NoScriptError:
                return self.redis.execute_command("EVAL", script_text(script), 0, *arguments)

    def run_then(
        self, script: str, arguments: Sequence[str | bytes | int | float], then: Sequence[str | int]
    ) -> list[Any]:
        """Run the named script and one more command behind it on the same connection; both replies."""
        for call in (("EVALSHA", script_sha(script)), ("EVAL", script_text(script))):
            with self.redis.pipeline(transaction=False) as pipe:
                pipe.execute_command(*call, 0, self.prefix, *arguments)
                pipe.execute_command(*then)
                first, second = pipe.execute(raise_on_error=False)
            if not isinstance(first, NoScriptError):
                break
        with self._understanding():
            for reply in (first, second):
                if isinstance(reply, Exception):
                    raise reply
        return [first, second]

    def command(self, name: str, key: str, *arguments: str | bytes | int | float) -> Any:
        """One command on one key; the reply as redis-py gives it."""
        with self._understanding():
            return self.redis.execute_command(name, self.prefix + key, *arguments)

    def commands(self, calls: Sequence[tuple[str | int | float, ...]]) -> list[Any]:
        """Several commands in one round trip, each `(name, key, *arguments)`; no transaction."""
        with self._understanding(), self.redis.pipeline(transaction=False) as pipe:
            for name, key, *arguments in calls:
                pipe.execute_command(name, f"{self.prefix}{key}", *arguments)
            return pipe.execute()

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        """What is forbidden is told in words; where a server says that it is a replica now, the next try connects anew.

        A master that is demoted keeps its connections. The address may long lead to its successor, but whoever stays
        connected would be refused for ever.
        """
        try:
            yield
        except ResponseError as error:
            # Redis before 7 wraps what a script was refused for into an error of no kind of its own.
            if isinstance(error, ReadOnlyError) or "READONLY" in str(error):
                # Others that use the pool now find out by themselves: a connection must not be closed under them.
                self.pool.disconnect(inuse_connections=False)
            forbid(error)
            raise

    def now(self) -> float:
        """Redis' clock in seconds; the only clock that gridq compares."""
        seconds, micros = self.redis.execute_command("TIME")
        return float(seconds) + float(micros) / 1e6

    def close(self) -> None:
        """Give the pool's connections back to the system."""
        self.pool.disconnect()
