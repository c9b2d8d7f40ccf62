"""XIDs in the records of tasks, on a real server: the last few, and only where there is a record."""

from __future__ import annotations

from typing import Any

import pytest
from lane import Lane

from gridq.store import tasks
from gridq.store.tasks import XidNote

PAGE_FAULT = XidNote(31, 'a "page" fault', "GPU-0", "gpu0@node1")


@pytest.fixture
def lane(database: Any) -> Lane:
    return Lane(database.client)


def test_a_note_says_what_happened_where_and_when(lane: Lane) -> None:
    first, second = lane.put(), lane.put()
    now = lane.client.now()
    assert tasks.note_xid(lane.client, [first], PAGE_FAULT, age=2.0) == 1
    [note] = lane.record(first).xids
    assert (note.number, note.meaning, note.gpu, note.worker) == (31, 'a "page" fault', "GPU-0", "gpu0@node1")
    assert -3.0 < note.at - now < -1.0
    assert lane.record(second).xids == ()
    assert lane.record(first).to_dict()["xids"][0]["number"] == 31


def test_the_last_sixteen_are_kept_oldest_first(lane: Lane) -> None:
    task = lane.put()
    for number in range(1, 21):
        tasks.note_xid(lane.client, [task], XidNote(number, "?", "GPU-0", "gpu0@node1"), age=0.0)
    assert [note.number for note in lane.record(task).xids] == list(range(5, 21))


def test_a_task_without_a_record_gets_none(lane: Lane) -> None:
    task = lane.put()
    assert tasks.note_xid(lane.client, ["gone", task], PAGE_FAULT, age=0.0) == 1
    assert tasks.find(lane.client, "gone") is None


def test_a_record_lives_no_longer_for_a_note(lane: Lane) -> None:
    task = lane.put()
    lane.client.command("PEXPIRE", f"gridq:task:{task}", 5000)
    tasks.note_xid(lane.client, [task], PAGE_FAULT, age=0.0)
    assert 0 < lane.client.command("PTTL", f"gridq:task:{task}") <= 5000
