"""What a worker counts of itself: time in which it starved, errors of its GPUs."""

from __future__ import annotations

import pytest

from gridq.worker.tally import MOST_XIDS, OTHER, Tally


def beats(tally: Tally, *seen: tuple[float, bool], ran_at: float = 0.0) -> float:
    """What it has counted after these heartbeats, each (seconds, whether it was starving)."""
    for at, starving in seen:
        tally.renewed(at, at + 0.25, starving=starving, ran_at=ran_at)
    return tally.idle_while_waiting


def test_time_counts_where_work_waited_for_an_idle_worker_at_both_ends() -> None:
    assert beats(Tally(), (10, True), (12, True), (14, True)) == 4


@pytest.mark.parametrize("beat", [[(10, False), (12, True)], [(10, True), (12, False)], [(10, True)]])
def test_time_with_one_end_only_may_have_been_a_moment(beat: list[tuple[float, bool]]) -> None:
    assert beats(Tally(), *beat) == 0


def test_after_a_pause_the_count_goes_on_and_leaves_the_pause_out() -> None:
    assert beats(Tally(), (10, True), (12, True), (14, False), (16, True), (18, True)) == 4


def test_time_in_which_a_task_ended_was_not_idle() -> None:
    tally = Tally()
    beats(tally, (10, True))
    assert beats(tally, (12, True), ran_at=11) == 0
    assert beats(tally, (14, True), ran_at=11) == 2


def test_the_last_round_trip_is_known_from_the_first_answer_on() -> None:
    tally = Tally()
    assert tally.round_trip is None
    beats(tally, (10, False))
    assert tally.round_trip == 0.25


def test_errors_are_counted_by_gpu_and_number() -> None:
    tally = Tally()
    for uuid, number in (("a", 79), ("a", 31), ("a", 31), ("b", 31)):
        tally.count_xid(uuid, number)
    assert (tally.xids("a"), tally.xids("b"), tally.xids("c")) == ({"79": 1, "31": 2}, {"31": 1}, {})


def test_a_driver_that_invents_numbers_makes_no_label_without_end() -> None:
    tally = Tally()
    for number in range(MOST_XIDS + 10):
        tally.count_xid("a", number)
    assert len(tally.xids("a")) == MOST_XIDS + 1
    assert tally.xids("a")[OTHER] == 10
