"""Who speaks: the worker, and the task whose words they are."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery import Celery, signals

from gridq.logs.facts import Facts

WORKER = {"worker": "gpu0@node1", "node": "node1", "gpu": "GPU-1,GPU-2"}


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app whose tasks say what is known when they run."""
    app = Celery("facts", set_as_current=False)
    yield app
    app.close()


def in_a_thread(facts: Facts) -> dict[str, Any]:
    """What is known in a thread that has just been started."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(facts.now).result()


def test_outside_of_tasks_it_is_the_worker() -> None:
    facts = Facts()
    assert facts.now() == {}
    facts.bind(worker="gpu0@node1", node="node1", gpus=["GPU-1", "GPU-2"])
    assert facts.now() == WORKER
    facts.bind(worker="cpu@node1", node="node1", gpus=[])
    assert facts.now() == {"worker": "cpu@node1", "node": "node1"}


def test_within_a_task_it_is_the_task(app: Celery) -> None:
    facts = Facts()
    task = app.task(name="shop.work", shared=False)(facts.now)
    assert task.apply(task_id="id-1").get() == {"task_id": "id-1", "task": "shop.work"}
    assert facts.now() == {}


def test_a_task_that_is_called_as_a_function_is_part_of_its_caller(app: Celery) -> None:
    facts = Facts()
    part = app.task(name="shop.part", shared=False)(facts.now)

    def whole() -> dict[str, Any]:
        return part()

    facts.follow_tasks()
    task = app.task(name="shop.whole", shared=False)(whole)
    assert task.apply(task_id="id-1").get() == {"task_id": "id-1", "task": "shop.whole"}


def test_in_a_process_of_the_pool_threads_are_their_tasks(app: Celery) -> None:
    facts = Facts()
    facts.follow_tasks()
    part = app.task(name="shop.part", shared=False)(facts.now)

    def work() -> list[dict[str, Any]]:
        before = in_a_thread(facts)
        part.apply()
        return [before, in_a_thread(facts)]

    whole = {"task_id": "id-1", "task": "shop.work"}
    assert app.task(name="shop.work", shared=False)(work).apply(task_id="id-1").get() == [whole, whole]
    assert in_a_thread(facts) == {}


def test_in_the_workers_own_process_threads_are_the_workers(app: Celery) -> None:
    facts = Facts()
    facts.bind(worker="gpu0@node1", node="node1", gpus=["GPU-1", "GPU-2"])
    facts.follow_tasks()

    def work() -> dict[str, Any]:
        return in_a_thread(facts)

    task = app.task(name="shop.work", shared=False)(work)
    assert task.apply(task_id="id-1").get() == WORKER


@pytest.fixture(autouse=True)
def _receivers() -> Iterator[None]:
    """What a test connects is gone after it."""
    before = [(signal, list(signal.receivers)) for signal in (signals.task_prerun, signals.task_postrun)]
    yield
    for signal, receivers in before:
        signal.receivers = receivers
        signal.sender_receivers_cache.clear()
