"""explain says where a task is and why, in sentences, and how old what it knows is."""

from __future__ import annotations

import io
from typing import Any

import pytest
from made_up import cpu_worker, gpu, record, worker
from rich.console import Console

from gridq.cli.explain import durations, explain, render
from gridq.cli.look import console
from gridq.gpu.health import State, Verdict
from gridq.store.tasks import XidNote
from gridq.units import GIB

PLACED: dict[str, Any] = {
    "strategy": "least-loaded",
    "candidates": [
        {"worker": "gpu0@node1", "score": 0.5, "free": 24 * GIB, "age": 0.3},
        {"worker": "gpu1@node1", "score": 1.5, "free": 24 * GIB, "age": 0.3},
    ],
    "rejected": {"is unhealthy: hot": 2},
}


def said(answer: dict[str, Any], width: int = 80) -> str:
    """What a terminal shows of it."""
    out = Console(file=io.StringIO(), width=width)
    out.print(render(answer))
    return str(out.file.getvalue())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"running": ("a",), "free": 24 * GIB}, "is busy: 1 of 1 slot taken"),
        ({"free": 4 * GIB}, "has 4GiB free, not 20GiB"),
        ({"gpus": (gpu(verdict=Verdict(State.UNKNOWN, ("no reading for 4s",))),)}, "is unknown: no reading for 4s"),
        ({"free": 22 * GIB}, None),
    ],
)
def test_a_waiting_task_is_told_what_stops_each_living_worker_now(changes: dict[str, Any], reason: str | None) -> None:
    answer = explain(record(), [worker(**changes)], now=1005.0)
    assert answer["now"] == [{"worker": "gpu0@node1", "obstacle": reason, "age": 0.4}]
    assert (reason or "could take it") in said(answer)


def test_cpu_workers_have_nothing_to_say_of_gpu_tasks_nor_the_other_way_round() -> None:
    living = [worker(), cpu_worker()]
    assert [row["worker"] for row in explain(record(), living, 1005.0)["now"]] == ["gpu0@node1"]
    cpu = record(needs={}, queue="cpu")
    assert [row["worker"] for row in explain(cpu, living, 1005.0)["now"]] == ["cpu@node1"]


def test_a_task_for_which_there_is_no_worker_at_all_is_told_so() -> None:
    assert "nobody" in said(explain(record(), [cpu_worker()], 1005.0))


def test_a_task_that_ran_is_told_why_there_and_not_what_others_do_now() -> None:
    times = {"waiting_at": 1000.0, "started_at": 1000.2, "finished_at": 1012.2}
    done = record(state="done", worker="gpu0@node1", placement=PLACED, times=times, attempts=1)
    answer = explain(done, [worker()], now=1072.2)
    assert answer["now"] == []
    assert answer["why"] == "gpu0@node1 came first by least-loaded, score 0.50"
    assert answer["durations"] == {"waited": 0.2, "ran": 12.0, "ended": 60.0}
    text = said(answer)
    assert "2 GPUs: is unhealthy: hot" in text
    assert "0.30s" in text


def test_a_task_that_went_elsewhere_than_first_choice_is_told_so() -> None:
    ran = record(state="running", worker="gpu1@node1", placement=PLACED)
    assert "2. of 2" in explain(ran, [], 1.0)["why"]
    ran = record(state="running", worker="gpu9@node2", placement=PLACED)
    assert explain(ran, [], 1.0)["why"] == "gpu9@node2 was the first that fits to become free"


def test_a_task_that_came_back_says_from_where() -> None:
    back = record(attempts=1, reason="requeued from gpu0@node1")
    assert "requeued from gpu0@node1" in explain(back, [], 1005.0)["why"]


def test_what_still_goes_on_is_counted_up_to_now() -> None:
    assert durations({"waiting_at": 10.0}, "waiting", 12.5) == {"waiting": 2.5}
    assert durations({"waiting_at": 10.0, "started_at": 11.0}, "running", 14.0) == {"waited": 1.0, "running": 3.0}
    assert durations({"due_at": 20.0}, "delayed", 12.0) == {"due_in": 8.0}


def test_words_in_brackets_are_shown_as_they_are() -> None:
    out = console()
    with out.capture() as seen:
        out.print(render(explain(record(state="failed", reason="KeyError: [a] [/b]"), [], 1.0)))
    assert "KeyError: [a] [/b]" in seen.get()


def test_every_state_can_be_explained_even_of_a_task_that_gridq_did_not_place() -> None:
    for state in ("waiting", "placed", "running", "done", "failed", "cancelled", "dead", "delayed", "?"):
        assert said(explain(record(state=state, needs={}, times={}), [], 1.0))


def test_xids_are_told_that_fired_while_the_task_was_on_the_gpu() -> None:
    note = XidNote(94, "an uncorrectable memory error", "GPU-0", "gpu0@node1", at=1000.0)
    answer = explain(record(state="failed", xids=(note,)), [], 1010.0)
    assert answer["xids"][0]["number"] == 94
    assert "this task was on gpu0@node1 when XID 94 fired at" in said(answer, 200)
    assert "XID" not in said(explain(record(), [], 1010.0))


def test_a_task_that_was_sent_to_one_worker_is_told_that_the_others_do_not_look_there() -> None:
    answer = explain(record(queue="gpu9@node9"), [worker(free=22 * GIB)], 1005.0)
    assert answer["now"] == [{"worker": "gpu0@node1", "obstacle": "does not look into gpu9@node9", "age": 0.4}]
    assert answer["why"] == "it was sent to gpu9@node9 itself, and no worker that looks there has been free"
