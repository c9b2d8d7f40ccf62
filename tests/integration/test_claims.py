"""Claims, on a real server and without workers: who takes what, once each, and what becomes of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
import redis
from fleet import eventually
from lane import SUFFIXES, Consumer, Lane, message

from gridq.store import cancels, claims
from gridq.store.claims import Identity, Offer, Outcome
from gridq.store.client import Client
from gridq.units import GIB


@pytest.fixture
def lane(database: Any) -> Lane:
    return Lane(database.client)


def test_a_look_takes_the_oldest_task_and_writes_down_who_holds_it(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    first, second = lane.put(), lane.put()
    claim, queue, task = worker.look()
    assert (queue, task) == ("gpu.8g", first)
    held = lane.client.command("HGET", f"gridq:claims:{worker.worker}", claim).decode().split("\n", 4)
    assert held[0] == "gpu.8g" and held[3] == first and first in held[4]
    record = lane.record(first)
    assert (record.state, record.worker, record.attempts) == ("running", worker.worker, 1)
    assert lane.record(second).state == "waiting"


def test_many_consumers_take_every_task_exactly_once(lane: Lane, database: Any) -> None:
    tasks = {lane.put() for _ in range(300)}
    taken, lock, left = Counter(), threading.Lock(), threading.Event()

    def hammer(number: int) -> None:
        client = Client(redis.ConnectionPool.from_url(database.url))
        worker = Consumer(client, f"gpu{number}@node1", ("gpu.24g", "gpu.8g"), rank=float(number))
        while not left.is_set():
            found = worker.look()
            if found is None:
                # Whoever is lighter and ready is handed what a heavier one finds: look until nothing is left.
                if lane.length("gpu.8g") == 0:
                    break
                continue
            with lock:
                taken[found[2]] += 1
            assert worker.ack(found[0])
        client.close()

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    left.set()
    assert taken == dict.fromkeys(tasks, 1)
    assert sum(lane.claims(f"gpu{number}@node1") for number in range(8)) == 0
    assert {lane.record(task).state for task in tasks} == {"done"}


def test_a_task_too_large_for_the_free_memory_is_passed_by_and_keeps_its_turn(lane: Lane) -> None:
    little, ample = lane.consumer("gpu0@node1", free=18), lane.consumer("gpu1@node1", free=24)
    large, fits = lane.put(22), lane.put(17)
    assert little.look()[2] == fits
    assert little.look() is None
    assert ample.look()[2] == large


def test_the_free_memory_counts_for_stock_messages_by_their_class(lane: Lane) -> None:
    little = lane.consumer("gpu0@node1", free=18)
    task = lane.push("gpu.24g")
    assert little.look() is None
    assert lane.consumer("gpu1@node1", free=24).look()[2] == task


def test_what_was_placed_but_no_longer_fits_goes_back_to_its_shared_queue(lane: Lane) -> None:
    worker, other = lane.consumer("gpu0@node1"), lane.consumer("gpu1@node1")
    worker.look()
    task = lane.put(20, to=[worker.worker])
    assert lane.went_to == worker.worker
    other.look()
    worker.free = 5
    assert worker.look() is None
    assert lane.length(worker.worker) == 0 and lane.length("gpu.24g") == 1
    record = lane.record(task)
    assert (record.state, record.queue) == ("waiting", "gpu.24g")
    assert other.wakes == 1
    assert other.look()[2] == task


def test_what_is_pinned_and_does_not_fit_stays_with_its_worker(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1", free=5)
    pinned = lane.push("gpu0@node1", vram=20)
    assert worker.look() is None and lane.length("gpu0@node1") == 1
    worker.free = 24
    assert worker.look()[1:] == ("gpu0@node1", pinned)


def test_urgent_tasks_go_first_in_whatever_queue_they_are(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    low, normal, large, high = lane.put(step=6), lane.put(step=3), lane.put(20, step=3), lane.put()
    order = []
    for _ in range(4):
        claim, _, task = worker.look()
        order.append(task)
        worker.ack(claim)
    assert order == [high, large, normal, low]


def test_a_delayed_task_waits_in_redis_until_it_is_due(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.put(delay=0.3)
    began = time.monotonic()
    assert worker.look() is None and 0 < worker.due_ms <= 300
    assert lane.record(task).state == "delayed" and lane.length("gpu.8g") == 0
    assert worker.wakes == 0  # It learns of the due time when it looks, which it just did.
    claim, _, found = eventually(worker.look, "the delayed task is due")
    assert found == task and time.monotonic() - began >= 0.25
    assert lane.record(task).state == "running"
    assert "due_at" not in lane.record(task).times
    worker.ack(claim)
    assert not lane.client.command("EXISTS", "gridq:delayed") and worker.look() is None


def test_a_delayed_task_lets_a_ready_consumer_learn_when_it_is_due(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    worker.look()
    lane.put(delay=60)
    assert worker.wakes == 1


def test_a_stock_message_with_an_eta_is_put_off_without_counting_as_an_attempt(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.push("gpu.8g", vram=8)
    claim, _, _ = worker.look()
    assert claims.postpone(lane.client, worker.worker, claim, 0.05)
    assert not claims.postpone(lane.client, worker.worker, claim, 0.05)
    assert lane.claims(worker.worker) == 0
    assert (lane.record(task).state, lane.record(task).attempts) == ("delayed", 0)
    assert eventually(worker.look, "it is due")[1:] == ("gpu.8g", task)


def test_only_the_holder_of_a_claim_can_let_go_of_it(lane: Lane) -> None:
    worker, other = lane.consumer("gpu0@node1"), lane.consumer("gpu1@node1")
    task = lane.put()
    claim, _, _ = worker.look()
    assert not other.ack(claim)
    assert not worker.ack("another claim")
    assert lane.record(task).state == "running"
    assert worker.ack(claim, Outcome("failed", "ValueError: out of stock"))
    assert not worker.ack(claim)
    record = lane.record(task)
    assert (record.state, record.reason) == ("failed", "ValueError: out of stock")
    assert 0 < lane.client.command("PTTL", f"gridq:task:{task}") <= 60_000


def test_a_retry_that_was_published_before_the_ack_keeps_its_own_record(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.put()
    claim, _, _ = worker.look()
    lane.put(delay=60, task_id=task)
    assert worker.ack(claim, Outcome("done"))
    assert lane.record(task).state == "delayed" and "finished_at" not in lane.record(task).times


def test_a_retry_that_runs_already_is_not_ended_by_the_ack_of_the_try_before(lane: Lane) -> None:
    worker, other = lane.consumer("gpu0@node1"), lane.consumer("gpu1@node1")
    task = lane.put()
    first, _, _ = worker.look()
    lane.put(task_id=task)
    second, _, _ = other.look()
    assert worker.ack(first)
    assert (lane.record(task).state, lane.record(task).worker) == ("running", other.worker)
    assert other.ack(second)
    assert lane.record(task).state == "done"


def test_released_tasks_are_first_in_line_again(lane: Lane) -> None:
    worker, other = lane.consumer("gpu0@node1"), lane.consumer("gpu1@node1")
    first, second = lane.put(), lane.put()
    claim, _, _ = worker.look()
    other.look(queues=["gpu.24g", "gpu.8g"])  # It takes the second and is busy.
    third = lane.put()
    assert claims.release(lane.client, worker.worker, [claim]) == 1
    assert claims.release(lane.client, worker.worker, [claim]) == 0
    record = lane.record(first)
    assert (record.state, record.queue, record.reason) == ("waiting", "gpu.8g", f"requeued from {worker.worker}")
    assert [worker.look()[2], worker.look()[2]] == [first, third]
    assert lane.record(second).state == "running" and lane.record(first).attempts == 2


def test_a_process_takes_back_its_own_claims_that_it_does_not_know_of_and_no_others(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1", slots=3)
    known, lost, others = lane.put(), lane.put(), lane.put()
    for claim in ("a-1", "a-2", "b-1"):
        worker.look(claim)
    assert claims.take_back(lane.client, worker.identity, "a-", ["a-1"]) == 1
    assert [lane.record(task).state for task in (known, lost, others)] == ["running", "waiting", "running"]
    assert worker.look()[2] == lost


def test_a_look_that_comes_after_its_connection_was_given_up_claims_nothing(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.put()
    claims.take_back(lane.client, Identity(worker.worker, f"{worker.worker}:next"), "a-", [])
    assert worker.look() is None and lane.record(task).state == "waiting"
    claims.take_back(lane.client, worker.identity, "a-", [])
    assert worker.look()[2] == task


def test_who_has_lost_the_name_claims_nothing_under_it(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    lane.put()
    offer = Offer(["gpu.8g"], 1, 24 * GIB, 24, token="of a lease long gone")
    assert worker.ask("c1", offer)[0] is None
    assert worker.look() is not None


def test_a_task_that_has_published_its_retry_is_not_given_back_too(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.put()
    claim, _, _ = worker.look()
    lane.put(task_id=task)
    assert claims.release(lane.client, worker.worker, [claim]) == 0
    assert lane.length("gpu.8g") == 1 and lane.record(task).state == "waiting"


def test_what_does_not_fit_is_left_also_in_a_queue_that_promises_less(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1", free=8)
    lane.push("gpu", vram=40)
    assert worker.look() is None
    assert lane.length("gpu") == 1


def test_a_header_that_looks_like_a_task_id_is_not_taken_for_it(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    lane.client.command("LPUSH", "gpu", message("t1", "gpu", correlation_id="trace-7"))
    assert lane.claims(worker.worker) == 0
    claim, _, _ = worker.look()
    assert lane.record("t1").state == "running"
    assert worker.ack(claim) and lane.record("t1").state == "done"


def test_a_consumer_that_stops_gives_back_what_was_placed_and_keeps_what_is_pinned(lane: Lane) -> None:
    worker, other = lane.consumer("gpu0@node1", slots=3), lane.consumer("gpu1@node1", slots=2)
    worker.look()
    placed, urgent = lane.put(to=[worker.worker], step=3), lane.put(to=[worker.worker])
    pinned = [lane.push(worker.worker, vram=8), lane.push(worker.worker, vram=8)]
    other.look()
    assert claims.retire(lane.client, worker.identity, SUFFIXES) == 2
    assert lane.length(worker.worker) == 2 and other.wakes == 2
    assert {lane.record(task).queue for task in (placed, urgent)} == {"gpu.8g"}
    assert [other.look()[2], other.look()[2]] == [urgent, placed]
    lane.put(to=[worker.worker])
    assert lane.went_to != worker.worker
    assert [worker.look()[2], worker.look()[2]] == pinned


def test_a_stock_message_is_handed_to_the_lighter_consumer_that_is_ready(lane: Lane) -> None:
    light, heavy = lane.consumer("gpu0@node1", rank=24), lane.consumer("gpu1@node1", rank=3024)
    light.look()
    task = lane.push("gpu")
    assert heavy.look() is None
    assert light.wakes == 1
    assert heavy.look() is None
    assert light.look()[1:] == ("gpu", task)


def test_a_stock_message_stays_with_whoever_finds_it_when_the_lighter_one_cannot_hold_it(lane: Lane) -> None:
    light, heavy = lane.consumer("gpu0@node1", rank=8, free=4), lane.consumer("gpu1@node1", rank=3024)
    light.look()
    task = lane.push("gpu.8g", vram=8)
    assert heavy.look()[2] == task
    assert light.wakes == 0


def test_a_stock_message_gets_a_record_when_it_is_claimed(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.push("gpu")
    claim, _, _ = worker.look()
    record = lane.record(task)
    assert (record.name, record.state, record.worker) == ("shop.work", "running", worker.worker)
    worker.ack(claim)
    assert lane.record(task).state == "done"


def test_a_text_that_is_no_message_can_be_claimed_and_let_go(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    lane.client.command("LPUSH", "gpu", "no message at all")
    assert worker.ask("c1", claims.Offer(["gpu"], 1))[1] == b"no message at all"
    assert worker.ack("c1", Outcome("dead", "not a kombu message"))
    assert lane.claims(worker.worker) == 0


def test_an_ack_wakes_a_consumer_that_sleeps_although_a_slot_is_free_now(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    lane.put()
    claim, _, _ = worker.look()
    worker.ack(claim, wake=worker.identity.consumer)
    assert worker.wakes == 1


def test_a_stock_message_that_was_put_off_and_waits_again_can_be_cancelled(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.push("gpu.8g", vram=8)
    claims.postpone(lane.client, worker.worker, worker.look()[0], 0.01)
    worker.free = 4
    eventually(lambda: worker.look() is None and lane.record(task).state == "waiting", "it is due, and does not fit")
    assert lane.record(task).queue == "gpu.8g"
    (found,) = cancels.cancel(lane.client, [task], SUFFIXES, life=60, running=False)
    assert found.ended and lane.length("gpu.8g") == 0


def test_a_foreign_id_of_several_lines_changes_nothing_of_its_message(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    raw = message("two\nlines", "gpu.8g", vram=8)
    lane.client.command("LPUSH", "gpu.8g", raw)
    claims.release(lane.client, worker.worker, [worker.look()[0]])
    assert lane.client.command("LINDEX", "gpu.8g", -1) == raw.encode()
