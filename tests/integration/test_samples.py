"""One sample of the fleet in each interval, whoever takes it, for as long as samples are kept."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fleet import Fleet, eventually
from lane import Lane

from gridq import config
from gridq.application import build
from gridq.cli.history import command
from gridq.cli.session import Session
from gridq.store import samples
from gridq.worker.sampler import Sampler

#: Seconds between samples; long enough for a slow machine to ask several times.
INTERVAL = 0.5


@pytest.fixture
def store(database: Any) -> Any:
    """An empty store."""
    return database.client


def test_of_many_who_ask_in_an_interval_one_takes_the_sample(store: Any) -> None:
    no_end_near = 1e9  # the next such interval begins in 2033
    workers = [Sampler(3600.0, no_end_near) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda sampler: sampler.tick(store), workers))
    assert sum(taken) == 1
    assert len(samples.read(store, 0)) == 1
    assert [sampler.tick(store) for sampler in workers] == [False] * 8, "none asks again before the interval ends"


def test_each_interval_gets_a_sample(store: Any) -> None:
    sampler = Sampler(3600.0, INTERVAL)
    eventually(lambda: sampler.tick(store) or len(samples.read(store, 0)) >= 3, "three samples")
    eventually(lambda: sampler.tick(store) and len(samples.read(store, 0)) >= 3, "three samples and more")
    slots = [int(sample.at // INTERVAL) for sample in samples.read(store, 0)]
    assert len(set(slots)) == len(slots), "two workers would not double them either"


def test_samples_end_when_they_are_old_and_all_of_them_with_the_last(store: Any) -> None:
    now = store.now()
    store.commands([("XADD", "gridq:samples", f"{(now - age) * 1000:.0f}-0", "running", age) for age in (7200, 3000)])
    samples.add(store, samples.take(store), life=3600.0)
    assert [sample.running for sample in samples.read(store, 0)] == [3000, 0]
    assert [sample.running for sample in samples.read(store, now - 10)] == [0]
    assert 3_590_000 < store.command("PTTL", "gridq:samples") <= 3_600_000


def test_no_samples_are_taken_where_none_are_kept(store: Any) -> None:
    assert not Sampler(0.0, INTERVAL).tick(store)
    assert store.redis.keys() == []


def test_a_week_of_samples_of_a_large_fleet_takes_little_memory(store: Any) -> None:
    """Measured for 1,000 GPUs with numbers that change: 116 bytes a sample, 1.2 MB a week."""
    full = dict.fromkeys(("healthy", "busy", "slots", "slots_used", "running", "waiting", "delayed"), 1000)
    for number in range(1000):
        counted = dict.fromkeys(("submitted", "done", "failed", "cancelled"), 10**7 + 977 * number)
        odd = {"utilization": 0.5 + number / 9999, "memory_used": 43 * 2**40 + 977 * number, "power": 500_000 + number}
        texts = samples.Sample(0.0, **full, **counted, **odd, memory_total=86 * 2**40).texts()
        store.command("XADD", "gridq:samples", f"{1_700_000_000_000 + 60_000 * number}-0", *texts)
    assert store.redis.memory_usage("gridq:samples", samples=0) / 1000 < 200


def history(database: Any, *arguments: str, **settings: str) -> Result:
    """Run the command on this database."""
    made = build(config.load(environ={}, broker_url=database.url, **settings))
    return CliRunner().invoke(command, arguments, obj=Session("shop", made))


def test_history_shows_what_was_sampled(database: Any) -> None:
    lane, sampler = Lane(database.client), Sampler(3600.0, INTERVAL)
    worker = lane.consumer("gpu0@node1")
    assert eventually(lambda: sampler.tick(lane.client), "a sample")
    lane.put()
    lane.put()
    claim, *_ = worker.look()  # type: ignore[misc]
    worker.ack(claim)
    assert eventually(lambda: sampler.tick(lane.client), "another sample")
    shown = history(database, "--since", "5m", "--json", "--step", "5m")
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)
    assert told["samples"] == 2
    assert told["whole"]["waiting"] == {"min": 0, "mean": 0.5, "max": 1}
    assert told["whole"]["done_per_minute"]["max"] > 0
    assert "a column is 1m" in history(database).stdout


def test_without_samples_history_says_why(database: Any) -> None:
    said = history(database, samples_ttl="0s")
    assert said.exit_code == 0
    assert "no samples of the last 24h" in said.stdout
    assert "samples_ttl is 0" in said.stdout


def test_workers_sample_their_fleet(grid: Fleet) -> None:
    (first, *_) = eventually(lambda: samples.read(grid.store, 0), "a worker takes a sample")
    assert first.workers <= 5 and first.slots == first.gpus <= 4
