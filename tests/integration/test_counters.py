"""What the scripts count and where tasks are listed, on a real server and without workers."""

from __future__ import annotations

import time
from typing import Any

import pytest
from lane import Lane

from gridq.store import claims, counters, leases, tasks
from gridq.store.claims import Outcome, Posting
from gridq.store.leases import Charge

NAME = "shop.work"


@pytest.fixture
def lane(database: Any) -> Lane:
    return Lane(database.client)


def counts(lane: Lane) -> dict[tuple[str, ...], int]:
    return counters.read(lane.client).counts


def states(lane: Lane) -> dict[str, int]:
    return {state: number for state, number in tasks.counts(lane.client).items() if number}


def next_millisecond(lane: Lane) -> None:
    """Wait until Redis' clock shows another millisecond: tasks of one are in no order."""
    began = int(lane.client.now() * 1000)
    while int(lane.client.now() * 1000) == began:
        pass


def test_a_task_is_listed_in_one_state_at_a_time_from_its_start_to_its_end(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.put()
    assert states(lane) == {"waiting": 1}
    claim = worker.look()
    assert claim is not None and states(lane) == {"running": 1}
    worker.ack(claim[0])
    assert states(lane) == {"done": 1}
    assert [record.id for record in tasks.listing(lane.client, "done")] == [task]
    assert tasks.listing(lane.client, "running") == []


def test_sent_claimed_and_ended_tasks_are_counted_by_name_and_how_they_ended(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    for outcome in (Outcome("done"), Outcome("done"), Outcome("failed", "ValueError")):
        lane.put()
        worker.ack(worker.look()[0], outcome)
    found = counts(lane)
    assert found[("submitted", NAME)] == 3 and found[("claims",)] == 3
    assert (found[("completed", NAME, "done")], found[("completed", NAME, "failed")]) == (2, 1)


def test_waiting_and_running_are_measured_in_histograms(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    lane.put()
    began = time.monotonic()
    time.sleep(0.06)
    claim = worker.look()[0]
    time.sleep(0.06)
    worker.ack(claim)
    most = time.monotonic() - began
    found = counters.read(lane.client).histograms
    for kind in ("wait", "run"):
        histogram = found[(kind, NAME)]
        assert sum(histogram.buckets) == 1 and 0.05 <= histogram.sum <= most
        below = sum(
            count for bound, count in zip(histogram.bounds, histogram.buckets[:-1], strict=True) if bound < 0.05
        )
        assert below == 0, "an amount lies in the bucket of the first bound that it does not exceed"


def test_what_a_lost_task_did_is_counted_by_its_cause(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.put()
    for number in range(2):
        claim = worker.look()[0]
        became = leases.lose(lane.client, worker.worker, claim, "killed", Charge("losses", 2))
        assert became == ("waiting", "dead")[number]
    found = counts(lane)
    assert found[("requeues", "process_died")] == 1 and found[("dead",)] == 1
    assert found[("completed", NAME, "dead")] == 1 and states(lane) == {"dead": 1}
    assert lane.record(task).requeues == 1 and lane.record(task).losses == 2


def test_a_task_that_goes_back_waits_since_then(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.put()
    sent = lane.record(task).times
    claim = worker.look()[0]
    time.sleep(0.02)
    claims.release(lane.client, worker.worker, [claim])
    back = lane.record(task).times
    assert back["waiting_at"] > sent["waiting_at"] and back["submitted_at"] == sent["submitted_at"]
    assert counts(lane)[("requeues", "released")] == 1


def test_what_was_measured_of_a_task_is_in_its_record(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    task = lane.put()
    measured = {"gpus": "GPU-1,GPU-2", "mean_utilization": "0.5", "peak_memory": "1024"}
    worker.ack(worker.look()[0], Outcome("done", "", measured))
    record = lane.record(task)
    assert (record.gpus, record.mean_utilization, record.peak_memory) == (("GPU-1", "GPU-2"), 0.5, 1024)


def test_names_of_tasks_beyond_the_first_two_hundred_share_one_counter(lane: Lane) -> None:
    for number in range(205):
        posting = Posting("{}", "cpu", delivery=f"d{number}", task_id=f"t{number}", record={"name": f"shop.n{number}"})
        claims.put(lane.client, posting)
    found = {labels[1]: number for labels, number in counts(lane).items() if labels[0] == "submitted"}
    assert len(found) == 201 and found["(other)"] == 5


def test_a_listing_knows_since_when_which_name_and_how_many(lane: Lane) -> None:
    first = lane.put()
    next_millisecond(lane)
    second = lane.put()
    assert [record.id for record in tasks.listing(lane.client, "waiting")] == [second, first]
    assert [record.id for record in tasks.listing(lane.client, "waiting", limit=1)] == [second]
    assert [record.id for record in tasks.listing(lane.client, "waiting", first="oldest")] == [first, second]
    assert tasks.listing(lane.client, "waiting", name="shop.other") == []
    assert len(tasks.listing(lane.client, "waiting", since=60, name=NAME)) == 2
    time.sleep(0.02)
    assert tasks.listing(lane.client, "waiting", since=0.01) == []


def test_ended_tasks_beyond_the_limit_are_forgotten_the_oldest_first(lane: Lane) -> None:
    worker = lane.consumer("gpu0@node1")
    sent = []
    for _ in range(5):
        sent.append(lane.put())
        worker.ack(worker.look()[0])
        next_millisecond(lane)
    waiting = lane.put()
    assert tasks.trim(lane.client, life=60, limit=2) == 3
    assert {record.id for record in tasks.listing(lane.client, "done")} == set(sent[3:])
    assert tasks.find(lane.client, sent[0]) is None and tasks.find(lane.client, waiting) is not None
    time.sleep(0.01)
    tasks.trim(lane.client, life=0.001, limit=2)
    assert states(lane) == {"waiting": 1}, "the index forgets what is too old, whose records end by themselves"
