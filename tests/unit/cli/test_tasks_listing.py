"""`gridq tasks` and `gridq show` tell what records say, in tables that fit and JSON whose keys stay."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from made_up import TASK_ID, record, worker
from test_listings import shown

from gridq.cli import main, show, show_view, tasks
from gridq.cli.look import table
from gridq.store.progress import Progress
from gridq.units import GIB

TIMES = {"submitted_at": 1000.0, "waiting_at": 1000.0, "started_at": 1002.0}


def half_done(done: float = 50, total: float | None = 100) -> Progress:
    """Progress as a record has it: half of it took 8 s."""
    return Progress(done, total, "epoch 3", at=1010.0, from_done=0, from_at=1002.0)


def answer(**changes: Any) -> dict[str, Any]:
    """What show would say of a record, without a store."""
    one = record(times=TIMES, **changes)
    said = one.to_dict() | {
        "age": 10.0,
        "durations": tasks.durations(one.times, one.state, 1010.0),
        "gpus": [{"uuid": "GPU-1", "model": "NVIDIA A10G"}],
        "gpu_seconds": show.gpu_seconds(one, 1010.0),
        "progress": tasks.progress_row(half_done(), 1010.0),
        "result": None,
        "warnings": show.warnings(one),
        "args": "(1,)",
        "kwargs": "{}",
        "retries": 2,
    }
    json.dumps(said)
    return said


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_table_of_tasks_keeps_to_one_line_each_and_shows_whole_ids(width: int) -> None:
    rows = tasks.task_rows([record(name="shop.some.module.train", times=TIMES)] * 3, [worker()], 1010.0)
    lines = shown(table(tasks.COLUMNS, rows, width), width).splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= width
    assert TASK_ID in lines[1]


def test_the_keys_of_the_json_are_stable() -> None:
    (row,) = tasks.task_rows([record(state="running", times=TIMES)], [], 1010.0)
    told = "id name state queue needs age wait run ended worker attempts progress reason"
    assert set(row) == set(told.split())
    assert (row["age"], row["wait"], row["run"], row["ended"]) == (10.0, 2.0, 8.0, None)
    json.dumps(row)


def test_progress_is_a_bar_a_share_and_the_time_that_is_left() -> None:
    cell = tasks.progress_cell(tasks.progress_row(half_done(), 1010.0))
    assert cell.plain == "███░░░  50% 8s left"
    assert tasks.progress_cell(tasks.progress_row(half_done(total=None), 1010.0)).plain == "50 done"
    assert tasks.progress_cell(None).plain == "–"
    assert "left" not in tasks.progress_cell(tasks.progress_row(half_done(done=100), 1010.0)).plain


@pytest.mark.parametrize(("done", "colour"), [(95, "cyan"), (100, "green")])
def test_a_bar_of_progress_is_green_at_its_end_and_never_red(done: float, colour: str) -> None:
    cell = tasks.progress_cell(tasks.progress_row(half_done(done=done), 1010.0))
    assert cell.spans[0].style == colour


def gridq(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, arguments)


def test_a_state_that_there_is_not_is_met_with_those_that_there_are() -> None:
    result = gridq("tasks", "--state", "waiting,runing")
    assert result.exit_code == 2
    assert "got 'runing'; did you mean 'running'?" in result.stderr
    assert gridq("tasks", "--since", "yesterday").exit_code == 2
    assert gridq("tasks", "--limit", "0").exit_code == 2


def test_show_says_what_there_is_and_leaves_out_what_there_is_not() -> None:
    text = shown(show_view.render(answer(state="running", worker="gpu0@node1", attempts=3, requeues=1)), 80)
    assert "running on gpu0@node1" in text
    assert "3 · retried 2 times by itself · went back to its queue 1 time" in text
    assert "waited 2s" in text and "for 8s" in text
    assert "A10G  GPU-1" in text and "8.0 GPU-seconds" in text
    assert "50% 8s left  epoch 3" in text
    assert f"gridq logs {TASK_ID}\n" in text and f"gridq explain {TASK_ID}\n" in text
    assert "XIDs" not in text and "traceback" not in text


@pytest.mark.parametrize(
    ("asked", "peak", "said"),
    [
        (24, 3, "declared 24GiB, peak 3GiB: a smaller vram"),
        (2, 1, None),
        (24, 20, None),
        (8, 12, "declared 8GiB, peak 12GiB: it may meet a GPU"),
        (0, 3, None),
        (24, None, None),
    ],
)
def test_a_need_that_is_far_off_is_told(asked: int, peak: int | None, said: str | None) -> None:
    found = show.warnings(
        record(needs={"gpu": True, "vram": asked * GIB}, peak_memory=None if peak is None else peak * GIB)
    )
    assert [one.startswith(said or "") for one in found] == ([True] if said else [])


def test_gpu_seconds_count_every_gpu_of_the_last_run() -> None:
    ran = record(needs={"gpu": True, "gpus": 2}, times=TIMES | {"finished_at": 1005.0})
    assert show.gpu_seconds(ran, 2000.0) == 6.0
    assert show.gpu_seconds(record(needs={}, times=TIMES), 2000.0) is None


def test_a_message_that_cannot_be_read_leaves_the_arguments_out() -> None:
    assert show._call("no json")["args"] is None
    assert show._call(None)["args"] is None
    assert show._call('{"headers": {"argsrepr": "(1,)"}}')["args"] == "(1,)"
