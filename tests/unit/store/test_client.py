"""A client whose server was demoted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis import ConnectionPool
from redis.exceptions import ReadOnlyError, ResponseError

from gridq.store.client import Client, ServerError

REFUSED = ReadOnlyError("You can't write against a read only replica.")
WRAPPED = ResponseError("Error running script: @user_script:3: -READONLY You can't write against a read only replica.")


class Pool(ConnectionPool):
    def __init__(self) -> None:
        super().__init__()
        self.left: list[bool] = []

    def disconnect(self, inuse_connections: bool = True) -> None:
        self.left.append(inuse_connections)


class Pipeline:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def execute_command(self, *_: Any) -> None:
        pass

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        if raise_on_error:
            raise self.error
        return [self.error, None]


class Server:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def execute_command(self, *_: Any) -> None:
        raise self.error

    def pipeline(self, transaction: bool) -> Pipeline:
        return Pipeline(self.error)


CALLS: dict[str, Callable[[Client], Any]] = {
    "run": lambda client: client.run("reap"),
    "run_then": lambda client: client.run_then("put", [], ["WAIT", 1, 1]),
    "command": lambda client: client.command("SET", "a", 1),
    "commands": lambda client: client.commands([("SET", "a", 1)]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("error", "left"), [(REFUSED, [False]), (WRAPPED, [False]), (ResponseError("OOM"), [])])
def test_a_server_that_has_become_a_replica_is_left(
    call: Callable[[Client], Any], error: Exception, left: list[bool]
) -> None:
    pool = Pool()
    client = Client(pool)
    client.redis = Server(error)  # type: ignore[assignment]
    with pytest.raises(ServerError):
        call(client)
    assert pool.left == left
