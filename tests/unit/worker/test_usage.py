"""What tasks use is what readings show of their own processes while they run; what was not seen is not made up."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gridq.broker.holder import Held
from gridq.gpu.health import State, Verdict
from gridq.gpu.reading import Process, Reading
from gridq.gpu.watch import Observation
from gridq.worker.deadline import now
from gridq.worker.usage import Usage

ME, INIT = os.getpid(), 1


def observation(utilization: float | None, *processes: Process, age: float = 0.0) -> Observation:
    return Observation(Reading("GPU-0", utilization=utilization, processes=processes), age, Verdict(State.HEALTHY))


class Bench:
    def __init__(self) -> None:
        self.held: Mapping[str, Held] = {"c1": Held("t1", 0, "gpu", since=now() - 10, pid=ME)}
        self.seen = observation(None)
        self.usage = Usage(["GPU-0"], lambda uuid: self.seen, lambda: self.held)

    def look(self, seen: Observation) -> None:
        self.seen = seen
        self.usage.look()


def test_the_mean_of_utilisation_and_the_peak_of_its_own_memory_are_kept() -> None:
    bench = Bench()
    bench.look(observation(0.5, Process(ME, 100), Process(INIT, 10_000)))
    bench.look(observation(1.0, Process(ME, 300)))
    bench.look(observation(0.0, Process(ME, 200)))
    assert bench.usage.measured("c1") == {"gpus": "GPU-0", "mean_utilization": "0.5000", "peak_memory": "300"}


def test_a_reading_counts_once_however_often_it_is_looked_at_and_also_if_it_came_since_the_last_look() -> None:
    bench = Bench()
    first = observation(1.0, Process(ME, 100))
    for _ in range(4):
        bench.look(first)
    bench.seen = observation(0.0, Process(ME, 300))
    expected = {"gpus": "GPU-0", "mean_utilization": "0.5000", "peak_memory": "300"}
    assert bench.usage.measured("c1") == expected
    bench.usage.look()
    assert bench.usage.measured("c1") == expected


def test_what_no_reading_showed_is_absent() -> None:
    bench = Bench()
    assert bench.usage.measured("c1") == {"gpus": "GPU-0"}
    bench.look(observation(None, Process(ME, None)))
    assert bench.usage.measured("c1") == {"gpus": "GPU-0"}


def test_a_reading_from_before_the_task_is_not_the_tasks() -> None:
    bench = Bench()
    bench.look(observation(1.0, Process(ME, 300), age=11))
    assert bench.usage.measured("c1") == {"gpus": "GPU-0"}


def test_a_task_that_is_not_on_the_gpus_used_nothing_of_them() -> None:
    bench = Bench()
    bench.look(observation(1.0))
    assert bench.usage.measured("a CPU task's") == {}
