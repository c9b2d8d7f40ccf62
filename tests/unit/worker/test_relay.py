"""What tasks leave on their worker's desk is passed on whole, however many end at once and whenever they begin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gridq.store.output import Limits
from gridq.worker.desk import Desk, file_name
from gridq.worker.relay import Relay

MIB = 1024 * 1024


class Worker:
    """Who knows which claims run; `begins` is a claim that begins right after somebody has asked."""

    def __init__(self, desk: Desk) -> None:
        self.worker = "cpu@node1"
        self.claims: set[str] = set()
        self.begins: str | None = None
        self._desk = desk

    @property
    def running(self) -> dict[str, None]:
        known = dict.fromkeys(self.claims)
        if self.begins is not None:
            self.claims.add(self.begins)
            report = json.dumps({"done": 1, "total": 2, "note": ""}) + "\n"
            (self._desk.reported / file_name(self.begins, "t")).write_text(report)
            self.begins = None
        return known


class Redis:
    """Takes everything, or refuses to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def run(self, script: str, *arguments: Any) -> int:
        self.calls.append((script, *arguments))
        return 1

    @property
    def texts(self) -> set[str]:
        return {call[4].decode() for call in self.calls if call[0] == "output" and call[4]}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk.of(tmp_path, "cpu@node1")
    yield made


def test_of_many_tasks_that_end_between_two_looks_all_is_passed_on(desk: Desk) -> None:
    relay, redis = Relay(desk, Worker(desk), Limits(MIB, MIB)), Redis()  # type: ignore[arg-type]
    for number in range(100):
        (desk.printed / file_name(f"c-{number}", f"t{number}")).write_text(f"words of {number}\n")
    relay.read()
    relay.tell(redis)  # type: ignore[arg-type]
    assert redis.texts == {f"words of {number}\n" for number in range(100)}
    assert not relay.has_news and list(desk.printed.iterdir()) == []


def test_while_redis_takes_nothing_only_so_many_ended_tasks_are_kept_the_latest(desk: Desk) -> None:
    relay, redis = Relay(desk, Worker(desk), Limits(MIB, MIB)), Redis()  # type: ignore[arg-type]
    for number in range(100):
        (desk.printed / file_name(f"c-{number:03}", f"t{number}")).write_text(f"words of {number}\n")
    relay.read()
    relay.read()
    relay.tell(redis)  # type: ignore[arg-type]
    assert redis.texts == {f"words of {number}\n" for number in range(36, 100)}


def test_a_task_that_begins_during_a_look_is_not_taken_for_one_that_has_ended(desk: Desk) -> None:
    worker, redis = Worker(desk), Redis()
    relay = Relay(desk, worker, Limits(MIB, MIB))  # type: ignore[arg-type]
    worker.begins = "c-1"
    relay.read()
    relay.tell(redis)  # type: ignore[arg-type]
    assert (desk.reported / file_name("c-1", "t")).exists(), "its file is its own until it ends"
    relay.read()
    relay.tell(redis)  # type: ignore[arg-type]
    assert [call[0] for call in redis.calls] == ["progress"]
