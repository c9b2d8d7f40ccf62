"""drain, undrain, cancel and dead: what they say, and which words they take."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner
from made_up import TASK_ID, cpu_worker, record, worker

from gridq.cli import cancel, drain, main
from gridq.cli.explain import explain, why
from gridq.cli.fleet import node_rows, worker_row
from gridq.errors import GridqError
from gridq.store.dead import DeadLetter
from gridq.store.gpus import gpu_rows


def row(**changes: Any) -> dict[str, Any]:
    """A drained node on which a task runs."""
    facts: dict[str, Any] = {"name": "node1", "deadline": None, "workers": ["gpu0@node1"], "running": [TASK_ID]}
    return facts | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "node1 takes no more tasks; 1 task still runs on it, without a deadline"),
        ({"running": ["a", "b"], "deadline": 600.0}, "2 tasks still run on it, and go back to the queue after 10m 00s"),
        ({"running": []}, "node1 takes no more tasks; nothing runs on it"),
        ({"workers": [], "running": []}, "node1 takes no tasks when it comes; it is away now"),
    ],
)
def test_a_drain_says_what_still_runs_and_until_when(changes: dict[str, Any], said: str) -> None:
    assert said in drain.sentence(row(**changes))


def test_what_is_drained_must_be_a_living_worker_or_its_node() -> None:
    living = [worker(), cpu_worker("node2")]
    drain.check_names(["gpu0@node1", "node1", "cpu@node2", "node2"], living)
    with pytest.raises(GridqError) as refused:
        drain.check_names(["gpu0@nod1"], living)
    assert refused.value.hint and "did you mean 'gpu0@node1'?" in refused.value.hint
    with pytest.raises(GridqError) as refused:
        drain.check_names(["zzz"], [])
    assert refused.value.hint and "there are no workers" in refused.value.hint and "--unseen" in refused.value.hint


@pytest.mark.parametrize("deadline", ["soon", "-1s", "10 parsecs"])
def test_a_deadline_is_a_time(deadline: str) -> None:
    result = CliRunner().invoke(main, ["drain", "node1", "--deadline", deadline])
    assert result.exit_code == 2
    assert "expected a time such as 15s" in result.stderr


@pytest.mark.parametrize("arguments", [["cancel"], ["drain"], ["undrain"]])
def test_somebody_must_be_named(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("was", "state", "said"),
    [
        ("waiting", "cancelled", "cancelled before it began"),
        ("delayed", "cancelled", "cancelled before it began"),
        ("running", "cancelled", "cancelled; it ran on gpu0@node1"),
        ("running", "done", "not cancelled: it is done, it ended at the same moment"),
        ("running", "running", "not cancelled yet: its worker gpu0@node1 has not answered; it will not run again"),
        ("done", "done", "not cancelled: it is done already"),
        ("cancelled", "cancelled", "not cancelled: it is cancelled already"),
        ("unknown", "unknown", "not cancelled: there is no record of it"),
        ("dead", "dead", "not cancelled: it is in the dead letters (gridq dead drop t1)"),
    ],
)
def test_a_cancelled_task_is_told_apart_from_one_that_is_not(was: str, state: str, said: str) -> None:
    cancelled = state == "cancelled" and was in ("waiting", "delayed", "running")
    facts = {"id": "t1", "was": was, "state": state, "worker": "gpu0@node1", "cancelled": cancelled}
    assert cancel.sentence(facts) == said


def test_every_listing_tells_who_is_draining() -> None:
    drained = worker(draining=True)
    assert worker_row(drained)["draining"] is True
    assert [line["draining"] for line in gpu_rows([drained, worker(1)])] == [True, False]
    assert node_rows([drained, worker(1)])[0]["draining"] == ["gpu0@node1"]
    assert explain(record(), [drained], 1005.0)["now"][0]["obstacle"] == "is draining"


def test_a_dead_task_is_told_how_to_try_again() -> None:
    assert f"gridq dead retry {TASK_ID}" in why(record(state="dead", worker="gpu0@node1"))
    assert why(record(state="cancelled")) == "it ended before any worker took it"


def test_a_dead_letter_has_its_tasks_name_as_far_as_it_can_be_read() -> None:
    facts = ("t1", 1.0, "gpu", "gpu0@node1", "its process died")
    assert DeadLetter(*facts, '{"headers": {"task": "shop.train"}}').to_dict()["name"] == "shop.train"
    assert [DeadLetter(*facts, text).name for text in ("", "[]", "{}", "\ufffd")] == ["?"] * 4
    assert "message" not in DeadLetter(*facts, "").to_dict()


def test_a_task_whose_message_was_purged_is_told_apart_from_one_whose_worker_is_silent() -> None:
    facts = {"id": "t1", "was": "waiting", "state": "waiting", "worker": None, "cancelled": False}
    assert "its message is gone" in cancel.sentence(facts)
