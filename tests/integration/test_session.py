"""A server that is there and refuses is not called away."""

from __future__ import annotations

from typing import Any

import pytest
import shop

from gridq import config
from gridq.cli.session import Session
from gridq.errors import BrokerError, GridqError


def test_what_a_server_refuses_is_told_as_such(database: Any) -> None:
    app = shop.build(config.load(environ={"GRIDQ_BROKER_URL": database.url}))
    with (
        pytest.raises(GridqError, match=r"it answered: .*wrong number of arguments") as caught,
        Session(app=app).store() as client,
    ):
        client.redis.execute_command("LLEN")
    assert not isinstance(caught.value, BrokerError) and "gridq doctor" in (caught.value.hint or "")
