"""History shows what samples say, and that nothing is known where there are none."""

from __future__ import annotations

import io
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from gridq.cli import main
from gridq.cli.history import fitting_step, render, shown_step, sparkline
from gridq.cli.timeline import Stats, Timeline
from gridq.store.samples import Sample
from gridq.units import GIB


def samples(*minutes: int, **facts: Any) -> list[Sample]:
    """A sample at each of these minutes; lists of facts are told one by one."""
    return [
        Sample(
            60.0 * minute, **{name: given[at] if isinstance(given, list) else given for name, given in facts.items()}
        )
        for at, minute in enumerate(minutes)
    ]


def means(timeline: Timeline, series: str) -> list[float | None]:
    """The mean of each step."""
    return [stats and stats.mean for stats in timeline.steps(series)]


def test_a_step_has_the_least_the_mean_and_the_most_of_its_samples() -> None:
    timeline = Timeline.of(samples(0, 1, 2, 3, running=[0, 4, 8, 2]), 0.0, 240.0, 120.0)
    assert timeline.steps("running") == [Stats(0, 2, 4), Stats(2, 5, 8)]
    assert timeline.whole("running") == Stats(0, 3.5, 8)


def test_a_time_without_samples_is_a_gap_and_no_zero() -> None:
    timeline = Timeline.of(samples(0, 1, 8, 9, running=3), 0.0, 600.0, 120.0)
    assert means(timeline, "running") == [3, None, None, None, 3]
    assert sparkline(timeline.steps("running")).plain == "█···█"


def test_a_rate_is_by_the_time_between_two_samples_also_over_a_gap() -> None:
    timeline = Timeline.of(samples(0, 1, 6, done=[100, 160, 460]), 0.0, 420.0, 60.0)
    assert means(timeline, "done_per_minute") == [None, 60, None, None, None, None, 60]


def test_counters_that_begin_anew_are_no_negative_rate() -> None:
    timeline = Timeline.of(samples(0, 1, 2, failed=[50, 52, 4]), 0.0, 180.0, 60.0)
    assert means(timeline, "failed_per_minute") == [None, 2, 4]


def test_what_no_gpu_told_is_unknown() -> None:
    facts = {"utilization": [None, 0.5], "memory_used": [None, 6 * GIB], "memory_total": [None, 24 * GIB]}
    timeline = Timeline.of(samples(0, 1, **facts), 0.0, 120.0, 60.0)
    assert means(timeline, "utilization") == [None, 0.5]
    assert means(timeline, "memory") == [None, 0.25]


def test_a_sample_at_the_very_end_belongs_to_the_last_step() -> None:
    assert Timeline.of(samples(0, 2, running=1), 0.0, 120.0, 60.0).taken == 2
    assert Timeline.of([], 0.0, 90.0, 60.0).to_dict()["steps"][1]["running"] is None


def test_the_json_has_every_series_of_every_step() -> None:
    plain = Timeline.of(samples(0, 1, running=2, healthy=4), 0.0, 120.0, 60.0).to_dict()
    assert set(plain) == {"begin", "step", "samples", "whole", "steps"}
    assert plain["steps"][0]["gpus"] == {"min": 4, "mean": 4, "max": 4}
    assert plain["steps"][1]["at"] == 60.0


@pytest.mark.parametrize("width", [80, 120])
def test_a_day_fits_the_terminal(width: int) -> None:
    taken = samples(*range(1440), running=8, waiting=12_345, power=700_000.0, utilization=0.5)
    bars = width - 42
    timeline = Timeline.of(taken, 0.0, 86_400.0, shown_step(None, 86_400.0, bars))
    out = Console(file=io.StringIO(), width=width)
    out.print(render(timeline, 86_400.0))
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert "700,000W" in text and "12,345" in text and "50%" in text
    assert "…" not in text


def test_steps_are_round_and_as_short_as_the_width_allows() -> None:
    assert fitting_step(3600, 60) == 60
    assert fitting_step(3600, 38) == 120
    assert fitting_step(86_400, 38) == 2400
    assert shown_step(60, 7200, 38) == 240, "a step that does not fit is taken several times"
    assert shown_step(600, 3600, 38) == 600


def test_bars_are_low_only_where_there_is_nothing() -> None:
    def line(*values: float, full: float | None = None) -> str:
        return sparkline([Stats(value, value, value) for value in values], full).plain

    assert line(0, 0.001, 1000) == "▁▂█"
    assert line(0, 0) == "▁▁"
    assert line(0.5, full=1.0) == "▅"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "soon"], "expected a time such as 15s"),
        (["--since", "0s"], "more than 0s"),
        (["--step", "0"], "more than 0s"),
        (["--since", "90d", "--step", "1s"], "at most 20000 steps"),
    ],
)
def test_times_that_cannot_be_shown_are_refused(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["history", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
