"""What Prometheus is shown is what the table says, and what nobody knows is not shown."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from made_up import worker
from prometheus_client.parser import text_string_to_metric_families
from seen import look, silent, speaking

from gridq.exporter.collector import families
from gridq.exporter.metrics import GPUS, TABLE, Kind
from gridq.exporter.scrape import text_of
from gridq.gpu.health import State, Verdict
from gridq.store.counters import Counters
from gridq.store.queues import Queue

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def shown(seen: Any) -> Series:
    """Every series of the text, by name and labels."""
    found: Series = {}
    for family in text_string_to_metric_families(text_of(seen, "9.9").decode()):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def value(seen: Any, name: str, **labels: str) -> float | None:
    """The value of one series; None where it is absent."""
    return shown(seen).get((name, frozenset(labels.items())))


def names(seen: Any) -> set[str]:
    return {name for name, _ in shown(seen)}


def test_every_family_of_the_table_is_shown_with_its_kind_and_help() -> None:
    told = {}
    for line in text_of(look(), "9.9").decode().splitlines():
        if line.startswith("# "):
            _, word, name, text = line.split(" ", 3)
            told[name, word] = text
    assert told == {
        (metric.name, word): text
        for metric in TABLE
        for word, text in (("HELP", metric.help), ("TYPE", metric.kind.value))
    }


def test_every_series_has_exactly_the_labels_of_the_table() -> None:
    table = {metric.name: metric for metric in TABLE}
    for name, labels in shown(look()):
        family = next(
            table[stem] for suffix in ("", "_bucket", "_count", "_sum") if (stem := _cut(name, suffix)) in table
        )
        expected = {*family.labels, *(["le"] if name.endswith("_bucket") else [])}
        assert {label for label, _ in labels} == expected, name


def _cut(name: str, suffix: str) -> str:
    return name.removesuffix(suffix) if suffix else name


def test_a_broker_that_is_away_is_all_that_is_known() -> None:
    assert names(None) == {"gridq_build_info", "gridq_broker_up"}
    assert value(None, "gridq_broker_up") == 0
    assert value(look(), "gridq_broker_up") == 1


def test_counters_show_what_was_counted_and_zero_for_what_has_not_happened_yet() -> None:
    assert value(look(), "gridq_tasks_completed_total", task="shop.train", outcome="done") == 3
    assert value(look(), "gridq_tasks_completed_total", task="shop.train", outcome="dead") == 0
    nothing = look(counters=Counters({}, {}))
    assert value(nothing, "gridq_dead_letters_total") == value(nothing, "gridq_leases_expired_total") == 0
    assert "gridq_tasks_submitted_total" not in names(nothing)


def test_a_histogram_counts_up_over_its_bounds() -> None:
    buckets = [
        value(look(), "gridq_task_wait_seconds_bucket", task="shop.train", le=le) for le in ("0.01", "0.02", "+Inf")
    ]
    assert buckets == [1, 3, 3]
    assert value(look(), "gridq_task_wait_seconds_count", task="shop.train") == 3
    assert value(look(), "gridq_task_wait_seconds_sum", task="shop.train") == 1.5


def test_what_a_driver_or_an_older_worker_does_not_say_is_absent() -> None:
    seen = look(workers=(silent(),))
    gpu = {name for name in names(seen) if name.startswith("gridq_gpu")}
    assert gpu == {f"gridq_gpu_{word}" for word in ("info", "verdict", "score", "slots", "slots_used")} | {
        "gridq_gpu_idle_while_waiting_seconds_total"
    }
    assert "gridq_worker_broker_round_trip_seconds" not in names(seen)


def test_the_last_reading_of_a_silent_gpu_says_nothing_of_now() -> None:
    gpu = replace(speaking(), verdict=Verdict(State.UNKNOWN))
    assert "gridq_gpu_temperature_celsius" not in names(look(workers=(worker(gpus=(gpu,)),)))


def test_a_verdict_is_one_of_four() -> None:
    gpu = speaking()
    labels = {"uuid": gpu.device.uuid, "node": "node1"}
    seen = look(workers=(worker(gpus=(replace(gpu, verdict=Verdict(State.UNHEALTHY)),)),))
    values = {state: value(seen, "gridq_gpu_verdict", verdict=state, **labels) for state in State}
    assert values == {state: float(state is State.UNHEALTHY) for state in State}


def test_a_gpu_that_changed_its_worker_is_shown_once_as_the_newer_one_tells() -> None:
    old, new = worker(name="old@node1", age=9.0), worker(name="new@node1", age=0.1, running=("t",))
    for workers in ((old, new), (new, old)):
        (key,) = [labels for name, labels in shown(look(workers=workers)) if name == "gridq_gpu_info"]
        assert ("worker", "new@node1") in key


def test_a_node_is_as_loaded_as_its_most_loaded_worker_says() -> None:
    workers = (worker(0, cpu_load=0.5), worker(1, cpu_load=0.75), worker(0, "node2", cpu_load=0.1))
    assert value(look(workers=workers), "gridq_node_cpu_load_ratio", node="node1") == 0.75


def test_a_queue_of_one_worker_or_node_is_shown_while_something_waits_in_it() -> None:
    queues = (Queue("gpu0@node1", 0, None, 1), Queue("gpu1@node1", 1, 3.0, 1), Queue("gpu.8g@node1", 0, None, 1))
    found = {labels for name, labels in shown(look(queues=queues)) if name == "gridq_tasks_waiting"}
    assert found == {frozenset({("queue", "gpu1@node1"), ("class", "own")})}


def test_how_long_the_oldest_waits_is_zero_where_nothing_waits_and_absent_where_no_record_says() -> None:
    seen = look(queues=(Queue("gpu", 0, None, 1), Queue("gpu.8g", 1, None, 1)))
    name = "gridq_tasks_waiting_oldest_seconds"
    assert value(seen, name, queue="gpu", **{"class": "any"}) == 0
    assert value(seen, name, queue="gpu.8g", **{"class": "8g"}) is None


def test_names_of_the_fleet_survive_the_text_format() -> None:
    seen = look(counters=Counters({("submitted", 'a "b"\\c\nd'): 1}, {}))
    assert value(seen, "gridq_tasks_submitted_total", task='a "b"\\c\nd') == 1


def test_nothing_is_kept_between_two_looks() -> None:
    assert {metric.name for metric in GPUS} & {family.name for family in families(look(workers=()), "9.9")} == set()


def test_names_follow_the_conventions_of_prometheus() -> None:
    assert len({metric.name for metric in TABLE}) == len(TABLE)
    for metric in TABLE:
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric.name
        assert metric.help.endswith("."), metric.name
        words = metric.name.split("_")
        assert not {"ms", "milliseconds", "percent", "mib", "gib", "minutes"} & set(words), metric.name


def test_promtool_finds_nothing_to_say_about_it(program: Callable[[str], str]) -> None:
    done = subprocess.run([program("promtool"), "check", "metrics"], input=text_of(look(), "9.9"), capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_the_documentation_has_the_table_whole() -> None:
    """What is missing or outdated is in the message, ready to be copied."""
    written = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text("utf-8").splitlines()
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |"
        for metric in TABLE
    ]
    assert [row for row in rows if row not in written] == []
    assert [line for line in written if line.startswith("| `gridq_") and line not in rows] == []
