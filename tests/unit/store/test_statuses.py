"""What is read from Redis is what was written to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from gridq.gpu.reading import Process, Reading
from gridq.gpu.xid import XidEvent
from gridq.queues import Seat
from gridq.store import workers
from gridq.store.tasks import TaskRecord
from gridq.store.workers import WorkerStatus, seats_of
from gridq.units import GIB


def test_a_heartbeat_survives_the_way_through_json(make_worker: Callable[..., WorkerStatus]) -> None:
    worker = make_worker("gpu0@node1", gpus=2)
    reading = Reading("GPU-0", memory_used=5, processes=(Process(7, None),), xids=(XidEvent(79, 1, 100.5, pid=4711),))
    worker = replace(
        worker,
        gpus=(replace(worker.gpus[0], reading=reading, reading_age=0.2, foreign=7, xids={"79": 2}), worker.gpus[1]),
        version="1.2",
        round_trip=0.001,
        idle_while_waiting=3.5,
        running=("t1",),
        queues=("gpu", "gpu.8g"),
    )
    assert WorkerStatus.from_dict(json.loads(json.dumps(worker.to_dict()))) == worker


def test_a_lease_is_for_redis_to_date_and_not_in_the_heartbeat(make_worker: Callable[..., WorkerStatus]) -> None:
    assert not {"expires_at", "age"} & make_worker("gpu0@node1").to_dict().keys()


def test_a_worker_with_several_gpus_offers_the_memory_of_its_smallest(make_worker: Callable[..., WorkerStatus]) -> None:
    pair = replace(make_worker("gpu0-1@node1"), gpus=(*make_worker("x@y", 80).gpus, *make_worker("x@y", 24).gpus))
    assert pair.seat == Seat(2, 24 * GIB, "NVIDIA A10G", "node1")
    assert make_worker("cpu@node1", 0).seat is None


def test_seats_are_read_from_what_heartbeats_leave_behind() -> None:
    fact = {"gpus": 1, "memory_total": GIB, "model": "T4", "node": "n", "uuid": "GPU-1", "index": 0, "driver": "550"}
    assert seats_of([fact, {"news": 1}]) == [Seat(1, GIB, "T4", "n")]


def test_a_record_without_some_fields_is_read_as_unknown_not_as_made_up() -> None:
    record = TaskRecord.from_hash("t1", {"name": "shop.work", "state": "waiting", "queue": "gpu", "waiting_at": "1500"})
    assert (record.worker, record.reason, record.placement, record.attempts) == (None, None, None, 0)
    assert record.times == {"waiting_at": 1.5}


def test_a_time_that_was_taken_back_is_no_time() -> None:
    assert TaskRecord.from_hash("t1", {"due_at": "0", "started_at": "2000"}).times == {"started_at": 2.0}


def test_a_record_is_shown_without_its_message() -> None:
    fields = {"needs": '{"vram": 8}', "placement": '{"rejected": {}}', "message": "secret", "attempts": "2"}
    shown = TaskRecord.from_hash("t1", fields).to_dict()
    assert "message" not in shown
    assert (shown["id"], shown["needs"], shown["attempts"]) == ("t1", {"vram": 8}, 2)
    assert shown["placement"] == {"rejected": {}}
    assert json.loads(json.dumps(shown)) == shown


def test_a_heartbeat_of_a_newer_version_is_read_as_far_as_it_is_known(make_worker: Callable[..., WorkerStatus]) -> None:
    worker = make_worker("gpu0@node1")
    reading = Reading("GPU-0", processes=(Process(7, 1),), xids=(XidEvent(79, 1, 100.5),))
    worker = replace(worker, gpus=(replace(worker.gpus[0], reading=reading),))
    plain = json.loads(json.dumps(worker.to_dict()))
    (gpu,) = plain["gpus"]
    for part in (plain, gpu, gpu["device"], gpu["verdict"], gpu["reading"]):
        part["news"] = {"of": "tomorrow"}
    for part in (gpu["reading"]["processes"][0], gpu["reading"]["xids"][0]):
        part["news"] = 1
    assert WorkerStatus.from_dict(plain) == worker
    gpu["verdict"]["state"] = "enchanted"
    assert not WorkerStatus.from_dict(plain).takes_work


def test_what_an_older_version_did_not_say_has_a_default() -> None:
    status = WorkerStatus.from_dict({"name": "gpu0@node1", "gpus": [{"device": {"uuid": "GPU-0"}, "verdict": {}}]})
    assert (status.node, status.slots, status.gpus[0].device.memory_total) == ("node1", 1, 0)
    assert (status.version, status.round_trip, status.idle_while_waiting) == ("", None, 0.0)
    assert (status.gpus[0].foreign, status.gpus[0].xids) == (None, {})
    assert not status.takes_work


class Redis:
    """Answers what the script `living` answers."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def run(self, script: str) -> list[object]:
        return [b"5000", [part for text in self.texts for part in (b"9000", b"4000", text)], []]


def test_a_heartbeat_that_cannot_be_read_hides_no_other_and_is_complained_of_once(
    make_worker: Callable[..., WorkerStatus], caplog: pytest.LogCaptureFixture
) -> None:
    redis = Redis("[]", json.dumps(make_worker("gpu0@node1").to_dict()), "{")
    for _ in range(2):
        assert [worker.name for worker in workers.living(redis)] == ["gpu0@node1"]
    assert len(caplog.records) == 2
