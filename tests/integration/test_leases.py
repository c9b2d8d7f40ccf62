"""Leases on a real server and without workers: who holds a name, and what becomes of what he held."""

from __future__ import annotations

from typing import Any

import pytest
from lane import SUFFIXES, TERMS, Lane

from gridq.store import leases
from gridq.store.leases import Claimant, Refused, Registered, Terms
from gridq.store.workers import WorkerStatus

NAME = "gpu0@node1"


@pytest.fixture
def lane(database: Any) -> Lane:
    return Lane(database.client)


def claimant(token: str, lock: str = "lock") -> Claimant:
    return Claimant(NAME, token, lock, "node1")


def status(token: str) -> WorkerStatus:
    return WorkerStatus(NAME, "node1", token, pid=1)


def test_a_name_with_a_living_holder_elsewhere_is_refused(lane: Lane) -> None:
    assert isinstance(leases.register(lane.client, claimant("a", lock="here"), TERMS), Registered)
    refused = leases.register(lane.client, claimant("b", lock="elsewhere"), TERMS)
    assert isinstance(refused, Refused) and 3500 < refused.seconds <= 3600


def test_who_holds_the_same_lock_takes_over_at_once_and_the_former_tasks_go_back(lane: Lane) -> None:
    worker = lane.consumer(NAME)
    task = lane.put()
    worker.look()
    answer = leases.register(lane.client, claimant("new", lock=NAME), TERMS)
    assert isinstance(answer, Registered) and (answer.back, answer.dead) == (1, 0)
    assert lane.record(task).state == "waiting"
    assert lane.client.command("HGET", f"gridq:task:{task}", "losses") == b"1"


def test_a_process_that_registers_again_is_charged_nothing(lane: Lane) -> None:
    worker = lane.consumer(NAME)
    task = lane.put()
    worker.look()
    leases.register(lane.client, claimant("again", lock=NAME), TERMS, again=True)
    assert lane.record(task).state == "waiting"
    assert lane.client.command("HGET", f"gridq:task:{task}", "losses") is None


def test_an_ended_lease_is_reaped_and_cannot_be_renewed(lane: Lane) -> None:
    short = Terms(lease=0.001, limit=1, suffixes=SUFFIXES)
    worker = lane.consumer(NAME)
    task = lane.put()
    worker.look()
    lane.client.command("ZADD", "gridq:leases", 1, NAME)
    assert [reaped.worker for reaped in leases.reap(lane.client, short)] == [NAME]
    assert lane.record(task).state == "dead", "one loss is as many as it may have here"
    assert not leases.renew(lane.client, claimant("whoever"), TERMS, status("whoever")).ours


def test_after_a_long_silence_every_lease_gets_one_more_term(lane: Lane) -> None:
    worker = lane.consumer(NAME)
    task = lane.put()
    worker.look()
    lane.client.command("ZADD", "gridq:leases", 1, NAME)
    lane.client.command("SET", "gridq:reaped", 1)
    assert leases.reap(lane.client, TERMS) == []
    assert lane.record(task).state == "running"


def test_a_server_that_forgot_is_told_what_runs_and_keeps_it(lane: Lane) -> None:
    first = leases.register(lane.client, claimant("a"), TERMS)
    assert isinstance(first, Registered)
    lane.client.redis.flushdb()
    raw = '{"properties": {"correlation_id": "t1"}}'
    assert leases.reassert(lane.client, NAME, "a", [("c1", "gpu", "", "t1", raw)]) == []
    renewed = leases.renew(lane.client, claimant("a"), TERMS, status("a"))
    assert not renewed.ours and renewed.epoch != first.epoch
    again = leases.register(lane.client, claimant("a"), TERMS, again=True)
    assert isinstance(again, Registered) and again.epoch != first.epoch
    assert (lane.claims(NAME), lane.length("gpu")) == (1, 0)


def test_what_another_holder_has_by_now_is_not_taken_from_him(lane: Lane) -> None:
    leases.register(lane.client, claimant("new"), TERMS)
    raw = '{"properties": {"correlation_id": "t1"}}'
    lane.client.command("LPUSH", "gpu", raw)
    assert leases.reassert(lane.client, NAME, "old", [("c1", "gpu", "", "t1", raw)]) == ["c1"]
    assert (lane.claims(NAME), lane.length("gpu")) == (0, 1)
