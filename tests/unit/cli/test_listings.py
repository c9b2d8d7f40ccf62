"""Listings are rows of plain types first, which are the JSON, and tables that fit the terminal second."""

from __future__ import annotations

import io
import json

import pytest
from made_up import cpu_worker, gpu, worker
from rich.console import Console, RenderableType

from gridq.cli import gpus, health
from gridq.cli.fleet import Fleet, node_rows, problems, worker_row
from gridq.cli.look import UNKNOWN, bar, table
from gridq.cli.status import render
from gridq.gpu.health import State, Verdict
from gridq.store.gpus import gpu_rows
from gridq.store.queues import looks_into
from gridq.units import GIB

HOT = Verdict(State.UNHEALTHY, ("hot: 95°C, the limit is 90°C",))


def shown(what: RenderableType, width: int) -> str:
    """What a terminal of that width shows."""
    out = Console(file=io.StringIO(), width=width)
    out.print(what)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    return str(text)


def fleet(*living: object, queues: tuple[tuple[str, int, int], ...] = ()) -> Fleet:
    """What status would see of these workers and (name, waiting, consumers) queues."""
    rows = [{"name": name, "waiting": waiting, "consumers": consumers} for name, waiting, consumers in queues]
    workers = [one for one in living if hasattr(one, "gpus")]
    return Fleet(
        broker={"url": "redis://:***@h:6379/0", "version": "redis 7.4", "latency": 0.0004},
        workers=[worker_row(one) for one in workers],
        gpus=gpu_rows(workers),
        queues=rows,
        problems=problems(workers, rows),
        delayed=0,
    )


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_table_of_gpus_keeps_to_one_line_each_on_any_terminal(width: int) -> None:
    rows = gpu_rows([worker(index, running=("a",)) for index in range(8)])
    lines = shown(table(gpus.COLUMNS, rows, width), width).splitlines()
    assert len(lines) == 9
    assert max(map(len, lines)) <= width


def test_a_narrow_terminal_cuts_the_model_and_keeps_the_verdict() -> None:
    text = shown(table(gpus.COLUMNS, gpu_rows([worker()]), 80), 80)
    assert "healthy" in text
    assert "6GiB / 24GiB" in text
    assert "RTX" in text and "…" in text


def test_what_a_driver_does_not_say_is_a_dash_and_null() -> None:
    rows = gpu_rows([worker(gpus=(gpu(reading={}),))])
    assert rows[0]["utilization"] is None and rows[0]["memory_used"] is None
    line = shown(table(gpus.COLUMNS, rows, 200), 200).splitlines()[1]
    assert line.count(UNKNOWN) >= 4
    assert "0%" not in line
    json.dumps(rows)


def test_gpus_are_listed_by_node_and_index() -> None:
    rows = gpu_rows([worker(10, "b"), worker(2, "b"), worker(0, "a")])
    assert [(row["node"], row["index"]) for row in rows] == [("a", 0), ("b", 2), ("b", 10)]


def test_a_bar_is_full_at_all_and_empty_at_nothing() -> None:
    assert bar(1.0, 4).plain == "████"
    assert bar(0.0, 4).plain == "░░░░"
    assert bar(1.5, 4).plain == "████"
    assert UNKNOWN in bar(None, 4).plain


def test_the_lightest_node_comes_first_and_a_sick_one_last() -> None:
    light, heavy = worker(node="light", score=0.2), worker(node="heavy", score=2.0)
    sick = worker(node="sick", score=0.0, gpus=(gpu(verdict=HOT),))
    rows = node_rows([heavy, sick, light])
    assert [row["node"] for row in rows] == ["light", "heavy", "sick"]
    text = shown(table(health.COLUMNS, rows, 80), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "unhealthy" in text


def test_a_node_without_gpus_has_no_verdict() -> None:
    (row,) = node_rows([cpu_worker()])
    assert row["verdict"] is None
    assert "no GPU" in shown(table(health.COLUMNS, [row], 80), 80)


def test_all_is_well_where_nothing_is_sick() -> None:
    seen = fleet(worker(), cpu_worker(), queues=(("cpu", 0, 1), ("gpu", 3, 1)))
    assert seen.problems == []
    assert seen.to_dict()["ok"] is True
    assert "all is well" in shown(render(seen, 80), 80)


def test_no_worker_is_a_problem_with_a_hint() -> None:
    text = shown(render(fleet(), 80), 80)
    assert "no worker is alive" in text
    assert "gridq up" in text


def test_a_sick_gpu_is_a_problem_that_names_it_and_says_why() -> None:
    (problem,) = fleet(worker(3, gpus=(gpu(3, verdict=HOT),))).problems
    assert problem == "gpu3@node1: GPU 3 is unhealthy: hot: 95°C, the limit is 90°C"


def test_a_degraded_gpu_takes_work_and_is_no_problem() -> None:
    assert not fleet(worker(gpus=(gpu(verdict=Verdict(State.DEGRADED, ("warm",))),))).problems


def test_a_queue_in_which_tasks_wait_for_nobody_is_a_problem() -> None:
    seen = fleet(worker(), queues=(("gpu.80g", 2, 0), ("gpu.8g", 2, 1)))
    assert seen.problems == ["queue gpu.80g has 2 waiting, and no worker looks into it"]
    assert "hint: gridq tasks --state waiting" in shown(render(seen, 80), 80)


def test_workers_look_into_queues_that_ask_for_their_model_without_having_been_told() -> None:
    assert looks_into(worker(), "gpu.8g:rtx-6000")
    assert not looks_into(worker(), "gpu.8g:h100")
    assert looks_into(worker(), "gpu@node1")
    assert not looks_into(cpu_worker(), "gpu@node1")


def test_status_says_the_broker_without_its_password_and_the_tasks_in_one_line() -> None:
    text = shown(render(fleet(worker(running=("a",)), queues=(("gpu", 3, 1),)), 80), 80)
    assert "redis://:***@h:6379/0 · redis 7.4 · 0.4ms" in text
    assert "1 running · 3 waiting · 0 delayed" in text


def test_the_keys_of_the_json_are_stable() -> None:
    seen = fleet(worker(), queues=(("gpu", 0, 1),)).to_dict()
    assert set(seen) == {"broker", "workers", "gpus", "queues", "problems", "delayed", "ok"}
    assert set(seen["gpus"][0]) >= {"worker", "uuid", "memory_used", "memory_total", "verdict", "reasons", "running"}
    assert seen["gpus"][0]["memory_used"] == 6 * GIB
    assert json.loads(json.dumps(seen)) == seen


def test_a_uuid_is_shown_as_far_as_it_tells_gpus_apart() -> None:
    assert gpus.short("GPU-5f3c8a1b-3c7e-4b52-9a1e-0d6f1c2b3a4d") == "GPU-5f3c8a1b"
    assert gpus.short("SIM-0001-24gib") == "SIM-0001-24gib"
