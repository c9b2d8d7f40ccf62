"""The snapshot of a fleet that cannot be asked."""

from __future__ import annotations

import pytest

from gridq.broker.fleet import Fleet
from gridq.errors import BrokerAwayError


@pytest.mark.parametrize("error", [BrokerAwayError("no broker"), OSError("no route")])
def test_a_server_that_is_away_makes_an_empty_snapshot_and_publishing_goes_on(error: Exception) -> None:
    def connect() -> None:
        raise error

    taken = Fleet(connect, max_age=1).snapshot()
    assert (taken.workers, taken.seats) == ((), None)
