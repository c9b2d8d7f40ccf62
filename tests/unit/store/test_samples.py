"""A sample sums the fleet up, and leaves open what nobody told."""

from __future__ import annotations

from made_up import cpu_worker, gpu, worker

from gridq.gpu.health import State, Verdict
from gridq.store.counters import Counters
from gridq.store.samples import Sample, of_fleet
from gridq.units import GIB

COUNTED = Counters(
    {
        ("submitted", "shop.train"): 10,
        ("submitted", "shop.add"): 5,
        ("completed", "shop.train", "done"): 6,
        ("completed", "shop.add", "done"): 4,
        ("completed", "shop.add", "failed"): 1,
        ("claims",): 12,
    },
    {},
)


def test_a_sample_sums_workers_gpus_tasks_and_counters_up() -> None:
    sick = worker(1, gpus=(gpu(1, Verdict(State.UNHEALTHY), {"utilization": 1.0, "memory_used": 12 * GIB}),))
    living = [worker(running=("a",)), sick, cpu_worker()]
    sample = of_fleet(living, {"waiting": 3, "placed": 1, "delayed": 2, "dead": 1}, COUNTED, 1000.0)
    assert (sample.at, sample.workers, sample.gpus) == (1000.0, 3, 2)
    assert (sample.healthy, sample.unhealthy, sample.busy) == (1, 1, 1)
    assert (sample.slots, sample.slots_used, sample.running) == (2, 1, 1)
    assert (sample.utilization, sample.memory_used, sample.memory_total) == (0.75, 18 * GIB, 48 * GIB)
    assert sample.power == 210, "of the one GPU that told it"
    assert (sample.waiting, sample.delayed, sample.dead) == (4, 2, 1)
    assert (sample.submitted, sample.done, sample.failed, sample.cancelled) == (15, 10, 1, 0)


def test_what_no_gpu_told_is_left_open() -> None:
    silent = worker(gpus=(gpu(reading={}),))
    sample = of_fleet([silent, cpu_worker()], {}, Counters({}, {}), 1000.0)
    assert (sample.utilization, sample.memory_used, sample.memory_total, sample.power) == (None, None, None, None)


def test_a_sample_survives_its_way_through_texts() -> None:
    sample = of_fleet([worker(), cpu_worker()], {"waiting": 1}, COUNTED, 1000.0)
    texts = sample.texts()
    assert Sample.from_texts(1000.0, dict(zip(texts[::2], texts[1::2], strict=True))) == sample


def test_what_another_version_wrote_is_read_as_far_as_it_is_known() -> None:
    assert Sample.from_texts(1.0, {"running": "3", "mood": "fine"}) == Sample(1.0, running=3)
