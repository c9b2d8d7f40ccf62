"""A message that comes back from a worker belongs to the list that it was taken from, whatever it says itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from lane import SUFFIXES, Lane, message

from gridq.broker.server import LocalServer
from gridq.store import claims
from gridq.store.client import Client


@pytest.fixture
def lane(database: Any) -> Lane:
    return Lane(database.client)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Lane]:
    """A server of its own: a script that never ends would hang every other test."""
    with LocalServer(tmp_path / "server") as server:
        client = Client(redis.ConnectionPool.from_url(server.url, socket_timeout=2, retry=None))
        yield Lane(client)
        client.close()


def test_a_message_whose_routing_key_is_no_queue_goes_back_to_where_it_was_taken_from(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    lane.client.command("LPUSH", "gpu", message("t1", "some.routing.key"))
    claim, queue, _ = worker.look()
    assert queue == "gpu"
    claims.release(lane.client, worker.worker, [claim])
    assert (lane.length("gpu"), lane.length("some.routing.key")) == (1, 0)


def test_a_message_whose_routing_key_is_no_queue_waits_for_its_eta_where_it_was_taken_from(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    lane.client.command("LPUSH", "gpu", message("t1", "some.routing.key"))
    claims.postpone(lane.client, worker.worker, worker.look()[0], 0)
    assert worker.look() is not None


def test_a_message_that_was_handed_over_goes_back_to_where_it_was_sent(lane: Lane) -> None:
    light, heavy = lane.consumer("gpu0@node1", rank=24), lane.consumer("gpu1@node1", rank=3024)
    light.look()
    lane.client.command("LPUSH", "gpu", message("t1", "some.routing.key"))
    heavy.look()
    claims.retire(lane.client, light.identity, SUFFIXES)
    assert (lane.length("gpu"), lane.length("some.routing.key")) == (1, 0)


def without_delivery_info(vram: int = 0) -> str:
    """What kombu takes all the same."""
    return message("t1", "", vram).replace('"delivery_info": {"exchange": "gridq", "routing_key": ""}, ', "")


@pytest.mark.parametrize("text", [without_delivery_info, lambda: "no message at all"], ids=["message", "text"])
def test_a_worker_that_stops_keeps_what_cannot_be_sent_back_anywhere(alone: Lane, text: Callable[[], str]) -> None:
    worker = alone.consumer("gpu0@node1")
    alone.client.command("LPUSH", worker.worker, text())
    claims.retire(alone.client, worker.identity, SUFFIXES)
    assert alone.length(worker.worker) == 1


def test_a_look_ends_though_what_does_not_fit_has_nowhere_else_to_go(alone: Lane) -> None:
    worker = alone.consumer("gpu0@node1", free=5)
    alone.client.command("LPUSH", worker.worker, without_delivery_info(vram=20))
    assert worker.look() is None
    assert alone.length(worker.worker) == 1
