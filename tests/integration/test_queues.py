"""Queues on a real server and without workers: how many wait, for how long, and what heartbeats learn of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lane import TERMS, Lane

from gridq.queues import class_queues
from gridq.store import leases, queues
from gridq.store.claims import Offer
from gridq.store.leases import Claimant
from gridq.store.queues import Queue
from gridq.store.workers import WorkerStatus
from gridq.units import GIB

WHO = Claimant("gpu0@node1", "token", "lock", "node1")


@pytest.fixture
def lane(database: Any) -> Lane:
    return Lane(database.client)


def made_older(lane: Lane, task: str, seconds: float) -> None:
    """Let the task have waited for so much longer."""
    lane.client.command("HINCRBY", f"gridq:task:{task}", "waiting_at", -int(seconds * 1000))


def one(lane: Lane, name: str, *living: WorkerStatus) -> Queue:
    """The queue of that name."""
    (found,) = [queue for queue in queues.look(lane.client, living) if queue.name == name]
    return found


def test_a_queue_counts_its_messages_of_every_priority(lane: Lane) -> None:
    for step in (0, 3, 3, 6):
        lane.put(step=step)
    assert one(lane, "gpu.8g").waiting == 4


def test_the_oldest_is_the_one_that_has_waited_longest_of_all_priorities(lane: Lane) -> None:
    first, last = lane.put(step=0), lane.put(step=6)
    made_older(lane, first, 5)
    made_older(lane, last, 60)
    assert 60 <= (one(lane, "gpu.8g").oldest or 0) < 65


def test_how_long_a_message_without_a_record_has_waited_is_not_known(lane: Lane) -> None:
    lane.push("gpu")
    assert one(lane, "gpu") == Queue("gpu", 1, None, 0)


def test_queues_that_nobody_uses_are_left_out_and_those_with_a_consumer_are_not(lane: Lane, make_worker: Any) -> None:
    worker = make_worker("gpu0@node1", 24)
    worker = replace(worker, queues=("gpu0@node1", *class_queues(worker.seat)))
    lane.put(vram=80)
    found = {queue.name: queue for queue in queues.look(lane.client, [worker])}
    assert found["gpu.8g"] == Queue("gpu.8g", 0, None, 1)
    assert (found["gpu.80g"].waiting, found["gpu.80g"].consumers) == (1, 0)
    assert set(found) == {*worker.queues, "gpu.80g"}


def test_a_drained_worker_is_no_consumer(lane: Lane, make_worker: Any) -> None:
    worker = replace(make_worker("gpu0@node1"), queues=("gpu",))
    assert one(lane, "gpu", worker).consumers == 1
    assert queues.look(lane.client, [replace(worker, draining=True)]) == []


def test_queues_that_ask_for_a_model_count_the_workers_that_find_them(lane: Lane, make_worker: Any) -> None:
    lane.client.command("SADD", "gridq:constrained", "gpu:a10g", "gpu:h100")
    lane.push("gpu:h100")
    found = {queue.name: queue.consumers for queue in queues.look(lane.client, [make_worker("gpu0@node1")])}
    assert found == {"gpu:a10g": 1, "gpu:h100": 0}


@pytest.mark.parametrize(("vram", "waits"), [(8, True), (16, True), (20, False)])
def test_a_heartbeat_learns_whether_work_waits_that_fits(lane: Lane, vram: int, waits: bool) -> None:
    leases.register(lane.client, WHO, TERMS)
    status = WorkerStatus(WHO.name, "node1", WHO.token, pid=1)
    offer = Offer(["gpu0@node1", "gpu.24g", "gpu.16g", "gpu.8g", "gpu"], 1, 16 * GIB)
    assert not leases.renew(lane.client, WHO, TERMS, status, offer).work_waits
    lane.put(vram, step=3)
    assert leases.renew(lane.client, WHO, TERMS, status, offer).work_waits is waits
    assert not leases.renew(lane.client, WHO, TERMS, status).work_waits, "it did not ask"


def test_a_heartbeat_that_asks_for_work_keeps_what_it_says_of_its_gpus(lane: Lane, make_worker: Any) -> None:
    leases.register(lane.client, WHO, TERMS)
    assert leases.renew(lane.client, WHO, TERMS, make_worker("gpu0@node1"), Offer(["gpu"], 1, GIB)).ours
    assert lane.client.command("HKEYS", "gridq:gpus") == [b"node1/GPU-0"]
