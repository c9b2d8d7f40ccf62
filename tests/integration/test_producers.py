"""Producers that know nothing of gridq: stock Celery, and another language with a Redis client."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest
from celery import Celery
from fleet import DEADLINE, Fleet, eventually
from kombu import Exchange, Queue
from producers import by_hand

from gridq.units import GIB


@pytest.fixture
def stock(grid: Fleet) -> Iterator[Celery]:
    """An app that knows nothing of gridq, on the same broker."""
    with Celery("stock", broker=grid.database.url, backend=grid.database.results, set_as_current=False) as app:
        # kombu has one pool per URL and options in a process: it must not be that of the grid's app.
        app.conf.broker_transport_options = {"visibility_timeout": 7200}
        with app.connection_for_write() as connection:
            assert connection.transport.__module__ == "kombu.transport.redis"
        yield app


def queue_of(name: str) -> Queue:
    return Queue(name, Exchange("gridq", "direct"), routing_key=name)


@pytest.mark.parametrize(("queue", "task"), [("cpu", "work_on_cpu"), ("gpu", "work"), ("gpu.8g", "work")])
def test_a_message_written_by_hand_runs_within_a_second_or_two(grid: Fleet, queue: str, task: str) -> None:
    task_id, text = by_hand(f"shop.{task}", queue)
    began = time.monotonic()
    grid.store.command("LPUSH", queue, text)
    where = grid.app.AsyncResult(task_id).get(timeout=DEADLINE)
    took = grid.ledger.runs([task_id])[0].start - began
    assert took < 5.0
    assert (where["gpu"] is not None) == (queue != "cpu")
    assert grid.await_state(task_id, "done").name == f"shop.{task}"


@pytest.mark.parametrize(("queue", "task"), [("cpu", "work_on_cpu"), ("gpu", "work"), ("gpu.40g", "work")])
def test_a_stock_celery_app_can_send_to_any_queue(grid: Fleet, stock: Celery, queue: str, task: str) -> None:
    handle = stock.send_task(f"shop.{task}", queue=queue_of(queue))
    where = handle.get(timeout=DEADLINE)
    handle.forget()
    assert where["gpu"] in {None if queue == "cpu" else device.uuid for device in grid.devices}
    if queue == "gpu.40g":
        assert where["gpu"] in {device.uuid for device in grid.devices[2:]}


def test_what_a_stock_producer_pushes_goes_to_the_lightest_gpu(grid: Fleet) -> None:
    grid.await_rested()
    for device in grid.devices[:2]:
        grid.sim.set(device.uuid, foreign=20 * GIB)

    def rank_of(label: str) -> float:
        ranks = dict(grid.store.command("ZRANGE", "gridq:ready:gpu", 0, -1, "WITHSCORES"))
        return next((float(rank) for member, rank in ranks.items() if member.decode().startswith(label)), 0.0)

    def seen() -> bool:
        living = grid.living()
        return all(status.score > 1 for status in living.values() if status.name.startswith(("gpu0", "gpu1")))

    eventually(seen, "the memory in use is seen")
    # Each of them must have looked once more since: what it found then is what it is ranked by.
    eventually(lambda: rank_of("gpu0") > rank_of("gpu3") and rank_of("gpu1") > rank_of("gpu3"), "they rank lower")
    went = Counter()
    for _ in range(3):
        task_id, text = by_hand("shop.work", "gpu")
        grid.store.command("LPUSH", "gpu", text)
        went[grid.app.AsyncResult(task_id).get(timeout=DEADLINE)["gpu"]] += 1
        grid.await_idle()
    # Whoever finds it wakes the lightest; in the moment until that one looks, yet another may find it.
    assert went[grid.devices[2].uuid] >= 2, went


def test_a_stock_eta_waits_in_redis_and_takes_no_slot(grid: Fleet, stock: Celery) -> None:
    handle = stock.send_task("shop.work", queue=queue_of("gpu.80g"), countdown=3)
    grid.await_state(handle.id, "delayed")
    # Only this GPU fits either of them: the delayed one leaves it free meanwhile.
    grid.task("work").apply_async(vram="70GiB").get(timeout=DEADLINE)
    assert grid.ledger.runs([handle.id]) == []
    handle.get(timeout=DEADLINE)
    handle.forget()
    assert grid.record(handle.id).attempts == 1


def test_a_text_that_is_no_message_does_not_stop_its_worker(grid: Fleet) -> None:
    grid.store.command("LPUSH", "gpu.80g", "no message at all")
    where = grid.task("work").apply_async(vram="70GiB").get(timeout=DEADLINE)
    assert where["gpu"] == grid.devices[3].uuid
    eventually(lambda: "gpu.80g" not in grid.waiting(), "it has been dropped")
    eventually(lambda: not grid.store.command("EXISTS", f"gridq:claims:{where['worker']}"), "nothing stays claimed")
