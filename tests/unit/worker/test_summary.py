"""What a worker says of itself to `inspect stats` and to Flower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gridq.gpu.health import State, Verdict
from gridq.gpu.reading import Reading
from gridq.store.workers import WorkerStatus
from gridq.units import GIB
from gridq.worker.summary import summary


def test_it_is_flat_with_the_verdict_first(make_worker: Callable[..., WorkerStatus]) -> None:
    hot = Verdict(State.UNHEALTHY, ("hot: 97°C", "foreign"))
    facts = summary(make_worker("gpu0@node1", 24, verdict=hot))
    assert list(facts)[:2] == ["gpu0_verdict", "gpu0_reasons"]
    assert (facts["gpu0_reasons"], facts["takes_tasks"]) == ("hot: 97°C; foreign", False)
    assert all(isinstance(value, str | int | float) for value in facts.values())


def test_what_a_driver_does_not_say_is_left_out(make_worker: Callable[..., WorkerStatus]) -> None:
    worker = make_worker("gpu0@node1", 24)
    reading = Reading(uuid="GPU-0", memory_used=6 * GIB, utilization=0.456)
    facts = summary(replace(worker, gpus=(replace(worker.gpus[0], reading=reading),)))
    assert (facts["gpu0_memory_used_gib"], facts["gpu0_utilization_percent"]) == (6, 46)
    assert "gpu0_power_watts" not in facts and "gpu0_reasons" not in facts


def test_a_cpu_worker_says_nothing_of_gpus(make_worker: Callable[..., WorkerStatus]) -> None:
    assert not any(name.startswith(("gpu", "memory")) for name in summary(make_worker("cpu@node1", 0)))
