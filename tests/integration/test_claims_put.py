"""Publishing, on a real server and without workers: who gets a message, who is woken, what is recorded."""

from __future__ import annotations

from typing import Any

import pytest
from lane import Lane, message

from gridq.store import claims
from gridq.store.claims import Posting
from gridq.store.client import Client


@pytest.fixture
def lane(database: Any) -> Lane:
    return Lane(database.client)


def test_a_task_is_placed_on_the_first_candidate_that_is_ready(lane: Lane) -> None:
    busy, ready, other = (lane.consumer(f"gpu{index}@node1") for index in range(3))
    ready.look(), other.look()
    task = lane.put(to=[busy.worker, ready.worker, other.worker])
    assert lane.went_to == ready.worker
    assert lane.record(task).state == "placed" and lane.record(task).queue == ready.worker
    assert (ready.wakes, other.wakes) == (1, 0)
    assert ready.look()[1:] == ("gpu.8g", task)


def test_a_task_waits_in_its_class_queue_while_nobody_is_ready(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.put(to=[worker.worker])
    assert lane.went_to == "gpu.8g" and lane.length("gpu.8g") == 1
    record = lane.record(task)
    assert (record.state, record.queue, record.worker, record.attempts) == ("waiting", "gpu.8g", None, 0)
    assert worker.look()[1:] == ("gpu.8g", task)


def test_a_ready_candidate_without_the_free_memory_is_passed_over(lane: Lane) -> None:
    small, large = lane.consumer("gpu0@node1", free=10), lane.consumer("gpu1@node1", free=24)
    small.look(), large.look()
    lane.put(20, to=[small.worker, large.worker])
    assert lane.went_to == large.worker


def test_a_waiting_task_wakes_the_lightest_ready_consumer_that_it_fits(lane: Lane) -> None:
    heavy, light, full = (
        lane.consumer(f"gpu{index}@node1", rank=rank, free=free)
        for index, (rank, free) in enumerate([(3024, 24), (1024, 24), (24, 4)])
    )
    for consumer in (heavy, light, full):
        consumer.look()
    lane.put(8)
    assert (heavy.wakes, light.wakes, full.wakes) == (0, 1, 0)


def test_a_ready_consumer_is_counted_as_taken_once_it_was_woken(lane: Lane) -> None:
    one, two = lane.consumer("gpu0@node1"), lane.consumer("gpu1@node1")
    one.look(), two.look()
    for _ in range(3):
        lane.put(to=[one.worker, two.worker])
    assert (one.wakes, two.wakes) == (1, 1)
    assert (lane.length(one.worker), lane.length(two.worker), lane.length("gpu.8g")) == (1, 1, 1)


def test_a_consumer_with_two_slots_gets_two_tasks_and_the_third_goes_on(lane: Lane) -> None:
    two_slots, other = lane.consumer("gpu0@node1", slots=2), lane.consumer("gpu1@node1", rank=5000)
    two_slots.look(), other.look()
    went = []
    for _ in range(3):
        lane.put(to=[two_slots.worker, other.worker])
        went.append(lane.went_to)
    assert went == [two_slots.worker, two_slots.worker, other.worker]
    assert (two_slots.wakes, other.wakes) == (2, 1)


def test_a_slot_that_is_taken_takes_its_memory_too(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1", slots=3, free=24)
    worker.look()
    went = []
    for _ in range(2):
        lane.put(16, to=[worker.worker])
        went.append(lane.went_to)
    assert went == [worker.worker, "gpu.16g"]


def test_a_woken_consumer_with_slots_left_goes_behind_its_equals(lane: Lane) -> None:
    one, two = lane.consumer("gpu0@node1", slots=2), lane.consumer("gpu1@node1", slots=2)
    one.look(), two.look()
    lane.put(), lane.put()
    assert (one.wakes, two.wakes) == (1, 1)


def test_a_dead_consumer_swallows_no_wake_up(lane: Lane) -> None:
    dead, living = lane.consumer("gpu0@node1", rank=1), lane.consumer("gpu1@node1", rank=2)
    dead.look(), living.look()
    lane.client.command("PEXPIRE", f"gridq:consumer:{dead.identity.consumer}", 0)
    lane.put(to=[dead.worker])
    assert lane.went_to == "gpu.8g"
    assert (dead.wakes, living.wakes) == (0, 1)
    assert lane.client.command("ZRANGE", "gridq:ready:gpu.8g", 0, -1) == []


def test_a_record_says_what_the_publisher_knew(lane: Lane) -> None:
    raw = message("t1", "gpu.8g", 8)
    facts = {"name": "shop.work", "priority": "3", "needs": '{"gpu": true, "vram": 8}', "placement": '{"rejected": {}}'}
    claims.put(lane.client, Posting(raw, "gpu.8g", "", 8, (), 0.0, "d1", False, "t1", facts))
    record = lane.record("t1")
    assert (record.name, record.needs, record.placement) == ("shop.work", {"gpu": True, "vram": 8}, {"rejected": {}})
    assert record.message == raw
    assert abs(record.times["waiting_at"] - lane.client.now()) < 30


def test_a_message_that_is_published_again_because_its_answer_was_lost_is_there_once(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    worker.look()
    posting = Posting(message("t1", "gpu.8g", 8), "gpu.8g", "", 8, (worker.worker,), 0.0, "d1", False, "t1")
    assert [claims.put(lane.client, posting) for _ in range(3)] == [worker.worker] * 3
    claim, _, _ = worker.look()
    assert claims.put(lane.client, posting) == worker.worker
    assert worker.look() is None and lane.record("t1").attempts == 1
    assert worker.ack(claim)


def test_a_message_that_is_published_again_after_its_task_has_sent_its_retries_is_there_once(lane: Lane) -> None:
    worker, size = lane.consumer("gpu0@node1"), set()

    def publish(delivery: str) -> str:
        return claims.put(
            lane.client, Posting(message("t1", "gpu.8g", 8), "gpu.8g", "", 8, (), 0.0, delivery, task_id="t1")
        )

    publish("first")
    for retry in range(30):
        claim, _, _ = worker.look()
        publish(f"retry {retry:02}")
        assert worker.ack(claim)
        # Whoever sent the first message, or this retry or the one before it, may not have heard of its arrival.
        for delivery in ("first", f"retry {retry:02}", f"retry {max(0, retry - 1):02}"):
            assert publish(delivery) == "gpu.8g"
        assert lane.length("gpu.8g") == 1
        size.add(lane.client.redis.hstrlen("gridq:task:t1", "put_before"))
    assert worker.look() and worker.look() is None
    assert len(size) < 15, "what is remembered of the messages grows with each retry"


def test_a_constrained_queue_is_made_known(lane: Lane) -> None:
    queue = "gpu:h100@node1"
    claims.put(lane.client, Posting(message("t1", queue), queue, constrained=True, task_id="t1"))
    lane.put()
    assert claims.constrained_queues(lane.client) == {queue}


def test_no_key_lies_outside_of_the_prefix(database: Any) -> None:
    lane = Lane(Client(database.client.pool, prefix="tenant:"))
    worker = lane.consumer("gpu0@node1")
    worker.look()
    tasks = [lane.put(to=[worker.worker]), lane.put(), lane.put(delay=60)]
    claim, _, task = worker.look()
    assert task == tasks[0] and lane.claims(worker.worker) == 1
    other = lane.consumer("gpu1@node1")
    claims.postpone(lane.client, other.worker, other.look()[0], 60)
    lane.put(), other.look()
    claims.release(lane.client, other.worker, [])
    claims.take_back(lane.client, other.identity, "", [])
    worker.ack(claim, wake=other.identity.consumer)
    claims.retire(lane.client, worker.identity, [""])
    lane.push("gpu:h100"), other.look(queues=["gpu:h100"])
    keys = database.names()
    assert keys and {key for key in keys if not key.startswith("tenant:")} == set()
