"""A server that has no memory left: producers are told, and what runs goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from lane import TERMS, Lane

from gridq.broker.server import LocalServer
from gridq.store import claims, leases
from gridq.store.client import Client, ServerError


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    """A server of its own, since it is filled up."""
    with LocalServer(tmp_path / "server") as server:
        client = Client(redis.ConnectionPool.from_url(server.url))
        yield Lane(client)
        client.close()


def fill(lane: Lane) -> None:
    lane.client.redis.execute_command("CONFIG", "SET", "maxmemory", 1)


def test_a_producer_gets_an_error_and_nothing_is_half_done(lane: Lane) -> None:
    fill(lane)
    before = sorted(lane.client.redis.keys())
    for task in ({}, {"delay": 5.0}):
        with pytest.raises(ServerError, match="maxmemory"):
            lane.put(**task)
    assert sorted(lane.client.redis.keys()) == before


def test_tasks_are_claimed_ended_and_given_back_all_the_same(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    first, second = lane.put(), lane.put()
    fill(lane)
    claim, _, task = worker.look()
    assert task == first and worker.ack(claim)
    claim, _, task = worker.look()
    assert task == second
    assert claims.release(lane.client, worker.worker, [claim]) == 1
    assert worker.look()[2] == second
    assert worker.look() is None


def test_a_worker_says_again_what_it_holds_all_the_same(lane: Lane) -> None:
    fill(lane)
    raw = '{"properties": {"correlation_id": "t1"}}'
    assert leases.reassert(lane.client, "gpu0@node1", "a", [("c1", "gpu", "", "t1", raw)]) == []
    assert lane.claims("gpu0@node1") == 1


def test_leases_are_registered_renewed_and_reaped_all_the_same(lane: Lane) -> None:
    fill(lane)
    worker = lane.consumer("gpu0@node1")
    assert leases.reap(lane.client, TERMS) == []
    assert worker.look() is None
