"""From a message that Celery wrote to what put.lua needs to know of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gridq.broker.posting import DECISION, HEADER, Routed, is_task, posting_of, seconds_until
from gridq.placement.decision import Decision
from gridq.units import GIB


def message(headers: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "body": "e30=",
        "headers": {"task": "shop.embed", "id": "t1", "eta": None, **(headers or {})},
        "properties": {"correlation_id": "t1", "delivery_tag": "d1", **properties},
    }


def test_a_posting_carries_what_was_decided_and_the_message_does_not() -> None:
    written = message(
        {HEADER: {"gpu": True, "vram": 8 * GIB}},
        priority=3,
        **{DECISION: Routed(Decision(("a", "b"), None, '{"why": 1}'), 0.0002)},
    )
    posting = posting_of("gpu.8g", "suffix", written)
    assert (posting.queue, posting.suffix, posting.bytes) == ("gpu.8g", "suffix", 8 * GIB)
    assert (posting.candidates, posting.decided_in) == (("a", "b"), 0.0002)
    assert (posting.task_id, posting.delay, posting.constrained) == ("t1", 0.0, False)
    assert posting.record == {
        "name": "shop.embed",
        "priority": "3",
        "needs": json.dumps({"gpu": True, "vram": 8 * GIB}),
        "placement": '{"why": 1}',
    }
    assert DECISION not in json.loads(posting.raw)["properties"]


def test_a_task_without_needs_has_no_candidates_and_needs_no_bytes() -> None:
    posting = posting_of("cpu", "", message())
    assert (posting.candidates, posting.bytes) == ((), 0)
    assert posting.record == {"name": "shop.embed", "priority": ""}


def test_a_message_that_is_published_again_is_known_by_its_delivery_id() -> None:
    written = message()
    first, again = posting_of("cpu", "", written), posting_of("cpu", "", written)
    assert first.delivery == again.delivery and first.raw == again.raw
    assert posting_of("cpu", "", message()).delivery != first.delivery


def test_a_constrained_queue_is_marked() -> None:
    for queue in ("gpu:h100", "gpu@node1", "cpu@node1", "gpu0@node1"):
        assert posting_of(queue, "", message()).constrained, (
            "else nobody sees what waits there while its worker is away"
        )
    assert not posting_of("gpu.8g", "", message()).constrained


@pytest.mark.parametrize(
    ("headers", "expected"), [({"task": "a", "id": "b"}, True), ({"id": "b"}, False), ({}, False), (None, False)]
)
def test_replies_and_events_are_no_tasks(headers: Any, expected: bool) -> None:
    assert is_task({"headers": headers}) is expected


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5)), None])
def test_an_eta_counts_in_whatever_zone_it_was_written(zone: Any) -> None:
    due = datetime.now(UTC) + timedelta(seconds=60)
    written = due.replace(tzinfo=None) if zone is None else due.astimezone(zone)
    assert 55 < seconds_until(written.isoformat()) <= 60


@pytest.mark.parametrize("eta", [None, "", "tomorrow", 17, "2020-01-01T00:00:00+00:00"])
def test_no_eta_a_past_one_or_none_that_can_be_read_means_now(eta: Any) -> None:
    assert seconds_until(eta) == 0


def test_an_id_of_several_lines_is_refused_before_anything_is_published() -> None:
    with pytest.raises(ValueError, match="expected a task_id of one line"):
        posting_of("cpu", "", message({"id": "two\nlines"}))
