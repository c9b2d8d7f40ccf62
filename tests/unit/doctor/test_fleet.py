"""The fleet is judged by its heartbeats and queues: who is away, who is idle, what nobody takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from made_up import cpu_worker, gpu, worker

from gridq import config
from gridq.doctor.finding import Finding, Severity
from gridq.doctor.fleet import Fleet, examine
from gridq.gpu.health import State, Verdict
from gridq.store.dead import Extent
from gridq.store.queues import Queue
from gridq.store.workers import WorkerStatus
from gridq.units import GIB
from gridq.version import VERSION

#: One that holds nothing between tasks.
FREE = {"memory_used": GIB // 2, "utilization": 0.0}


def well(index: int = 0, **changes: Any) -> WorkerStatus:
    """A GPU worker with nothing to find."""
    facts = {"version": VERSION, "gpus": (gpu(index, reading=FREE),), "round_trip": 0.001}
    return worker(index, **(facts | changes))


def fleet(*living: WorkerStatus, queues: Sequence[Queue] = (), dead: Extent | None = None) -> Fleet:
    """These workers and queues."""
    return Fleet(living, queues, dead or Extent(0), config.load(environ={}), now=1000.0)


def bad(facts: Fleet) -> list[Finding]:
    """All findings that are not well."""
    return [finding for finding in examine(facts) if finding.severity is not Severity.OK]


def test_nothing_is_found_wrong_with_a_fleet_at_work() -> None:
    queues = [Queue("gpu.24g", 3, 2.0, 1), Queue("cpu", 0, None, 1)]
    assert bad(fleet(well(running=("a",)), replace(cpu_worker(), version=VERSION), queues=queues)) == []


def test_no_worker_is_an_error_with_the_command_that_starts_one() -> None:
    (found,) = bad(fleet())
    assert (found.check, found.severity) == ("workers", Severity.ERROR)
    assert "gridq up" in found.hint


def test_workers_with_another_version_are_named_together() -> None:
    living = [well(0, version="0.0.9"), well(1, version="0.0.9"), well(2), well(3, version="")]
    silent, old = bad(fleet(*living))
    assert old.evidence == "gpu0@node1, gpu1@node1 run gridq 0.0.9"
    assert silent.evidence == "gpu3@node1 runs an older gridq"
    assert old.severity is Severity.WARNING
    assert f"gridq=={VERSION}" in old.hint


def test_a_heartbeat_that_is_late_says_when_the_lease_ends() -> None:
    (found,) = bad(fleet(well(age=7.0, expires_at=1003.0)))
    assert "gpu0@node1 last beat 7s ago; it loses its tasks in 3s" in found.evidence


def test_a_worker_that_is_far_from_the_broker_is_a_warning() -> None:
    (found,) = bad(fleet(well(round_trip=0.4)))
    assert (found.check, found.severity) == ("round trips", Severity.WARNING)


@pytest.mark.parametrize(
    ("state", "severity"),
    [(State.UNHEALTHY, Severity.ERROR), (State.UNKNOWN, Severity.ERROR), (State.DEGRADED, Severity.NOTE)],
)
def test_a_gpu_that_is_not_well_says_why(state: State, severity: Severity) -> None:
    (found,) = bad(fleet(well(gpus=(gpu(0, Verdict(state, ("hot: 95°C",)), FREE),))))
    assert (found.check, found.severity) == ("GPUs", severity)
    assert "hot: 95°C" in found.evidence


def test_a_gpu_that_two_workers_hold_is_an_error_also_under_two_names_of_its_machine() -> None:
    (found,) = bad(fleet(well(node="container1"), well(node="container2")))
    assert (found.check, found.severity) == ("locks", Severity.ERROR)
    assert "lock_dir" in found.hint


def test_simulated_gpus_of_two_nodes_are_two() -> None:
    def simulated(node: str) -> WorkerStatus:
        seen = gpu(0, reading=FREE)
        device = replace(seen.device, uuid="SIM-0000-24gib")
        return well(node=node, gpus=(replace(seen, device=device),))

    assert bad(fleet(simulated("node1"), simulated("node2"))) == []


def test_a_gpu_that_others_use_while_its_worker_rests_is_a_warning() -> None:
    used = replace(gpu(reading={"memory_used": 20 * GIB, "utilization": 0.9}), foreign=19 * GIB)
    (found,) = bad(fleet(well(gpus=(used,))))
    assert found.severity is Severity.WARNING
    assert "other programs hold 19GiB of it, utilization 90%" in found.evidence
    (found,) = bad(fleet(well(gpus=(used,), running=("a",))))
    assert (found.check, found.severity) == ("shared", Severity.NOTE)


def test_memory_that_a_worker_keeps_between_tasks_is_a_note() -> None:
    (found,) = bad(fleet(well(gpus=(gpu(reading={"memory_used": 8 * GIB}),))))
    assert (found.check, found.severity) == ("held unused", Severity.NOTE)
    assert "empty_cache" in found.hint


@pytest.mark.parametrize(
    ("queue", "hint"),
    [
        ("cpu", "-Q cpu"),
        ("cpu@node7", "-Q cpu, on node7"),
        ("gpu.80g", "-Q gpu where a GPU fits"),
        ("gpu3@node2", "start gpu3@node2 again"),
        ("mails", "-Q mails"),
    ],
)
def test_a_queue_that_nobody_looks_into_says_who_could(queue: str, hint: str) -> None:
    (found,) = bad(fleet(well(), queues=[Queue(queue, 2, 5.0, 0)]))
    assert (found.check, found.severity) == ("queues", Severity.ERROR)
    assert f"{queue} has 2 waiting" in found.evidence
    assert hint in found.hint


def test_a_queue_whose_only_workers_are_drained_says_how_to_undrain() -> None:
    drained, queue = bad(fleet(well(draining=True), queues=[Queue("gpu.24g", 2, 5.0, 0)]))
    assert (drained.check, drained.severity) == ("draining", Severity.NOTE)
    assert queue.hint == "gridq undrain gpu0@node1"


def test_a_worker_with_room_for_what_has_waited_is_a_warning() -> None:
    waiting = [Queue("gpu.8g", 2, 30.0, 1)]
    (found,) = bad(fleet(well(), queues=waiting))
    assert found.check == "idle"
    assert "gpu0@node1 has a free slot and 18GiB, and in gpu.8g a task has waited for 30s" in found.evidence
    assert bad(fleet(well(running=("a",)), queues=waiting)) == [], "a busy one has no room"
    assert bad(fleet(well(free=3 * GIB), queues=waiting)) == [], "one that it does not fit may rest"
    assert bad(fleet(well(), queues=[Queue("gpu.8g", 2, 1.0, 1)])) == [], "nor has it waited for long"


def test_a_wait_of_hours_is_a_note() -> None:
    (found,) = bad(fleet(well(running=("a",)), queues=[Queue("gpu.8g", 2, 7200.0, 1)]))
    assert (found.check, found.severity) == ("waiting", Severity.NOTE)


def test_dead_letters_wait_for_a_person() -> None:
    (found,) = bad(fleet(well(), dead=Extent(3, 200_000.0)))
    assert found.severity is Severity.WARNING
    assert found.evidence == "3, the oldest 2d 07h old, forgotten?"
    assert "gridq dead retry" in found.hint
