"""When a task will be done, from what it said of itself."""

from __future__ import annotations

import json

import pytest

from gridq.store.progress import Progress


def progress(done: float, total: float | None, *, first: tuple[float, float], at: float = 100.0) -> Progress:
    said = {"done": done, "total": total, "note": "", "at": at * 1000, "attempt": 1}
    text = json.dumps(said | {"first_done": first[0], "first_at": first[1] * 1000})
    made = Progress.from_json(text, 1, 10.0)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("told", "now", "eta"),
    [
        (progress(50, 100, first=(0, 50)), 100, 50),
        (progress(50, 100, first=(0, 50)), 120, 30),
        (progress(50, 100, first=(0, 50)), 1000, 0),
        # From a checkpoint: what was done before is not this run's doing.
        (progress(90, 100, first=(80, 50)), 100, 50),
        # Said once: since the task began.
        (progress(50, 100, first=(50, 100)), 100, 90),
        (progress(0, 100, first=(0, 50)), 100, None),
        (progress(50, None, first=(0, 50)), 100, None),
        (progress(100, 100, first=(0, 50)), 100, 0),
        (progress(0, 0, first=(0, 50)), 100, 0),
    ],
)
def test_the_time_that_is_left_is_at_the_rate_so_far(told: Progress, now: float, eta: float | None) -> None:
    assert told.eta(now) == eta


def test_what_an_earlier_attempt_said_does_not_count() -> None:
    text = json.dumps({"done": 1, "at": 1000, "first_at": 1000, "first_done": 1, "attempt": 1})
    assert Progress.from_json(text, 2, 1.0) is None
    assert Progress.from_json(None, 1, 1.0) is None


def test_the_share_is_known_where_the_total_is() -> None:
    assert progress(25, 50, first=(0, 50)).share == 0.5
    assert progress(25, None, first=(0, 50)).share is None
    assert progress(25, 50, first=(0, 50)).to_dict()["ends_at"] == 150
