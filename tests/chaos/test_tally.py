"""What the harness counts, of executions made up by hand: a harness that sees nothing would pass every product."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .ledger import Entry, Execution, Ledger
from .tally import DONE, FAILED, Fault, Sent, count

WORKER, OTHER = 100, 200


def ran(start: float, seen: float, end: float | None = None, parent: int = WORKER, number: int = 0) -> Execution:
    """An execution of task `a`, by a child of this worker."""
    return Execution("a", number, f"worker{parent}", parent, parent + 1, start, seen, end)


def test_a_task_that_ran_once_and_was_answered_is_clean() -> None:
    tally = count([Sent("a")], [ran(1, 2, 2)], [], {"a": DONE}, ())
    assert tally.clean and tally.tasks == 1


def test_a_task_that_never_ended_is_lost_or_late() -> None:
    assert count([Sent("a")], [], [], {}, ()).lost == 1
    assert count([Sent("a")], [ran(1, 2)], [], {"a": "PENDING"}, ()).lost == 1
    late = count([Sent("a")], [ran(1, 2)], [], {}, {"a"})
    assert (late.lost, late.late) == (0, 1) and not late.clean


def test_an_error_that_nobody_raised_is_counted_but_that_of_a_deadly_task_is_right() -> None:
    assert count([Sent("a")], [ran(1, 2, 2)], [], {"a": FAILED}, ()).failed == 1
    assert count([Sent("a", deadly=True)], [ran(1, 2)], [], {"a": FAILED}, ()).clean


def test_a_retry_has_ended_when_its_last_try_has() -> None:
    first, second = ran(1, 2, 2), ran(5, 6, 6, number=1)
    assert count([Sent("a", last=1)], [first], [], {"a": "RETRY"}, ()).lost == 1
    assert count([Sent("a", last=1)], [first, second], [], {"a": DONE}, ()).clean


def test_a_second_start_is_a_duplicate_unless_the_holder_was_lost() -> None:
    twice = [ran(1, 2, 2), ran(5, 6, 6, OTHER)]
    assert count([Sent("a")], twice, [], {"a": DONE}, ()).duplicated == 1
    assert count([Sent("a")], twice, [Fault(3, frozenset({OTHER}))], {"a": DONE}, ()).duplicated == 1
    lost = count([Sent("a")], twice, [Fault(3, frozenset({WORKER}))], {"a": DONE}, ())
    assert lost.clean and lost.again == 1
    # It was lost only after the second start.
    assert count([Sent("a")], twice, [Fault(7, frozenset({WORKER}))], {"a": DONE}, ()).duplicated == 1


def test_two_executions_side_by_side_are_duplicates_even_if_the_holder_was_lost() -> None:
    twice = [ran(1, 9), ran(5, 6, 6, OTHER)]
    fault = Fault(3, frozenset({WORKER}))
    tally = count([Sent("a")], twice, [fault], {"a": DONE}, ())
    assert tally.duplicated == 1 and tally.overlap == 4
    frozen = Fault(3, frozenset({WORKER}), until=8.8, frozen=True)
    assert count([Sent("a")], twice, [frozen], {"a": DONE}, (), grace=0.5).duplicated == 0
    assert count([Sent("a")], [ran(1, 5.3), twice[1]], [fault], {"a": DONE}, (), grace=0.5).duplicated == 0


def test_what_ended_but_was_never_answered_or_is_still_queued_is_seen() -> None:
    assert count([Sent("a")], [ran(1, 2, 2)], [], {}, ()).unanswered == 1
    assert count([Sent("a")], [ran(1, 2, 2)], [], {"a": DONE}, {"a"}).stuck == 1


def test_recovery_is_the_time_from_the_fault_to_the_next_start() -> None:
    twice = [ran(1, 3), ran(5.5, 6, 6, OTHER)]
    assert count([Sent("a")], twice, [Fault(3, frozenset({WORKER}))], {"a": DONE}, ()).recovery == 2.5
    outage = Fault(3, until=5, outage=True)
    assert count([Sent("a")], [twice[1]], [outage], {"a": DONE}, ()).recovery == 0.5
    assert count([Sent("a")], [twice[0]], [outage], {}, ()).recovery is None


def test_the_ledger_keeps_the_last_sign_of_life_of_whoever_was_killed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    head = {"task": "a", "number": 0, "worker": "w", "parent": 1, "pid": os.getpid()}
    child = os.fork()
    if child == 0:
        Entry(tmp_path, head).beat()
        os._exit(9)
    os.waitpid(child, 0)
    Entry(tmp_path, head | {"task": "b"}).finish()
    killed, ended = ledger.executions()
    assert (killed.task, killed.end) == ("a", None) and killed.seen >= killed.start
    assert ended.task == "b" and ended.end == ended.seen
    assert ledger.executions() == [killed, ended]


def test_no_two_starts_share_an_entry(tmp_path: Path) -> None:
    head = {"task": "a", "number": 0, "worker": "w", "parent": 1, "pid": 1}
    for _ in range(3):
        Entry(tmp_path, head).finish()
    assert len(Ledger(tmp_path).executions()) == 3


@pytest.mark.parametrize("holders", [{WORKER}, {WORKER + 1}])
def test_a_fault_takes_what_its_workers_or_its_children_ran(holders: set[int]) -> None:
    fault = Fault(3, frozenset(holders), until=6)
    assert fault.took(ran(1, 2)) and fault.took(ran(5, 6)) and not fault.took(ran(7, 8))
    assert not fault.took(ran(1, 2, parent=OTHER))
