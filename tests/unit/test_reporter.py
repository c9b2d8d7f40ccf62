"""A task says how far it is; outside of a task nobody listens, and no slip in it ends anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gridq
from gridq import reporter
from gridq.errors import ProgressWarning
from gridq.reporter import Reporter


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Where the task that runs reports to."""
    path = tmp_path / "task"
    made = Reporter(path)
    reporter.follow(made, alone=True)
    yield path
    reporter.follow(None, alone=True)
    made.close()


def said(file: Path) -> Any:
    return json.loads(file.read_bytes().partition(b"\n")[0])


def test_outside_of_a_task_track_is_a_loop_and_progress_does_nothing() -> None:
    gridq.progress("nonsense")  # type: ignore[arg-type]
    assert list(gridq.track("abc")) == ["a", "b", "c"]


def test_track_says_how_many_items_are_done(file: Path) -> None:
    seen = []
    for item in gridq.track([10, 20], note="rows"):
        seen.append((item, said(file)["done"]))
    assert seen == [(10, 0), (20, 1)]
    assert said(file) == {"done": 2, "total": 2, "note": "rows"}


def test_the_total_of_a_generator_is_unknown_unless_it_is_told(file: Path) -> None:
    list(gridq.track(iter(x for x in "ab")))
    assert said(file)["total"] is None
    list(gridq.track((x for x in "ab"), total=2))
    assert said(file)["total"] == 2


def test_what_is_said_last_counts_and_notes_are_cut_short(file: Path) -> None:
    gridq.progress(1, 2, "x" * 1000)
    gridq.progress(1.5, 2, "\N{SMILING FACE WITH OPEN MOUTH}" * 1000)
    assert said(file) == {"done": 1.5, "total": 2, "note": "\N{SMILING FACE WITH OPEN MOUTH}" * 200}


def test_threads_of_a_task_report_too(file: Path) -> None:
    thread = threading.Thread(target=gridq.progress, args=(3, 4))
    thread.start()
    thread.join()
    assert said(file)["done"] == 3


@pytest.mark.parametrize(("done", "total", "reported"), [(5, 4, 4), (-1, 4, 0), (-1, None, 0)])
def test_an_impossible_number_is_put_right_with_a_warning(
    file: Path, done: float, total: float | None, reported: float
) -> None:
    with pytest.warns(ProgressWarning, match="expected done to be") as caught:
        gridq.progress(done, total)
    assert caught[0].filename == __file__
    assert said(file)["done"] == reported


@pytest.mark.parametrize("value", ["many", None, float("nan"), float("inf"), [1]])
def test_what_is_no_number_is_left_out_with_a_warning(file: Path, value: Any) -> None:
    gridq.progress(1, 2)
    with pytest.warns(ProgressWarning, match="expected done to be a number"):
        gridq.progress(value, 2)
    assert said(file)["done"] == 1


def test_a_report_after_the_end_and_one_for_which_there_is_no_room_are_lost_quietly(tmp_path: Path) -> None:
    ended = Reporter(tmp_path / "ended")
    ended.report(1, 2, "")
    ended.close()
    ended.report(2, 2, "")
    Reporter(tmp_path / "no" / "such" / "folder").report(1, 2, "")
