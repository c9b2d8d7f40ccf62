"""A result is stored and announced in one step, and a success stays whatever a second attempt says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, states
from celery.app.task import Context
from celery.backends.redis import RedisBackend as StockBackend
from celery.result import AsyncResult
from kombu.exceptions import DecodeError

import gridq
from gridq.broker import results
from gridq.broker.results import RedisBackend
from gridq.broker.server import LocalServer
from tests.conftest import Database


def make_app(database: Database, **conf: Any) -> Celery:
    app = Celery("results", broker=database.url, backend=database.results)
    app.conf.update(conf)
    return gridq.install(app)


def test_what_is_stored_is_what_celerys_own_backend_reads(database: Database) -> None:
    app, stock = make_app(database), Celery("stock", broker=database.url, backend=database.results)
    assert type(app.backend) is RedisBackend and type(stock.backend) is StockBackend
    app.backend.store_result("t1", {"answer": 42}, states.SUCCESS)
    assert AsyncResult("t1", app=stock).get(timeout=10) == {"answer": 42}


@pytest.mark.parametrize("conf", [{}, {"result_compression": "gzip"}], ids=["plain", "compressed"])
def test_a_success_stays_and_a_failure_does_not(database: Database, conf: dict[str, Any]) -> None:
    backend = make_app(database, **conf).backend
    backend.store_result("t1", RuntimeError("first"), states.FAILURE)
    backend.store_result("t1", {"status": "SUCCESS"}, states.SUCCESS)
    backend.store_result("t1", RuntimeError("too late"), states.FAILURE)
    assert backend.get_state("t1") == states.SUCCESS and backend.get_result("t1") == {"status": "SUCCESS"}
    backend.store_result("t2", {"status": "SUCCESS"}, states.STARTED)
    backend.store_result("t2", 2, states.SUCCESS)
    assert backend.get_result("t2") == 2


def test_results_are_kept_as_long_as_the_app_says(database: Database) -> None:
    backend = make_app(database, result_expires=100, result_failure_expires=1000).backend
    backend.store_result("t1", 1, states.SUCCESS)
    backend.store_result("t2", RuntimeError("no"), states.FAILURE)
    kept = [backend.client.ttl(backend.get_key_for_task(id)) for id in ("t1", "t2")]
    assert 90 <= kept[0] <= 100 and 990 <= kept[1] <= 1000
    forever = make_app(database, result_expires=None).backend
    forever.store_result("t3", 3, states.SUCCESS)
    assert forever.client.ttl(forever.get_key_for_task("t3")) == -1


def wait_for(handle: AsyncResult[Any]) -> None:
    """As `get()` does once it has looked and found nothing."""
    for _ in handle.backend.result_consumer.drain_events_until(handle.on_ready, timeout=10):
        pass


def store_unheard(app: Celery, task_id: str, value: str | bytes) -> None:
    """As a worker that has its connection back before we have ours: the channel says nothing of it."""
    app.backend.client.set(app.backend.get_key_for_task(task_id), value)


def test_a_result_that_was_announced_while_nobody_listened_is_found(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "LOOK", 0.1)
    app = make_app(database)
    handle = AsyncResult("t1", app=app)
    app.backend.add_pending_result(handle)
    store_unheard(app, "t1", app.backend.encode({"status": "SUCCESS", "result": 7, "task_id": "t1"}))
    wait_for(handle)
    assert handle.result == 7


def test_a_result_that_nobody_can_read_troubles_only_who_waits_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "LOOK", 0.1)
    app = make_app(database)
    unreadable, good = AsyncResult("t1", app=app), AsyncResult("t2", app=app)
    for handle in (unreadable, good):
        app.backend.add_pending_result(handle)
    store_unheard(app, "t1", b"\x80\x04 no JSON")
    store_unheard(app, "t2", app.backend.encode({"status": "SUCCESS", "result": 7, "task_id": "t2"}))
    wait_for(good)
    assert good.result == 7
    wait_for(unreadable)
    with pytest.raises(DecodeError, match="0x80"):
        unreadable.get(timeout=10)


@pytest.fixture
def own_app(tmp_path: Path) -> Iterator[Celery]:
    """An app on a server of its own, which is filled up."""
    with LocalServer(tmp_path) as server:
        yield gridq.install(Celery("results", broker=server.url, backend=server.url))


def fill(app: Celery, maxmemory: int) -> None:
    """Give the app's server so many bytes; 0 for as many as there are."""
    with redis.Redis.from_url(app.conf.broker_url) as operator:
        operator.config_set("maxmemory-policy", "noeviction")
        operator.config_set("maxmemory", maxmemory)


def while_full(app: Celery, act: Callable[..., object], *arguments: Any) -> None:
    """Do what the server refuses, since it has no memory left; after a while it has."""
    refused = threading.Event()
    app.backend.on_connection_error = lambda *_: refused.set() or 0.01
    fill(app, 1)
    acting = threading.Thread(target=act, args=arguments)
    acting.start()
    assert refused.wait(10)
    fill(app, 0)
    acting.join(20)


def test_a_result_that_redis_refuses_for_a_moment_is_stored(own_app: Celery) -> None:
    large = "x" * 100_000
    while_full(own_app, own_app.backend.store_result, "t1", large, states.SUCCESS)
    assert own_app.backend.get_result("t1") == large


def test_a_small_result_is_stored_on_a_full_server_too(own_app: Celery) -> None:
    fill(own_app, 1)
    own_app.backend.store_result("t1", 42, states.SUCCESS)
    own_app.backend.store_result("t2", RuntimeError("no"), states.FAILURE)
    assert own_app.backend.get_result("t1") == 42 and own_app.backend.get_state("t2") == states.FAILURE


def test_a_part_of_a_chord_that_redis_refuses_for_a_moment_is_counted_once(own_app: Celery) -> None:
    backend, part = own_app.backend, Context(id="t1", group="g1", group_index=0, chord={})
    backend.set_chord_size("g1", 2)
    while_full(own_app, backend.on_chord_part_return, part, states.SUCCESS, 42)
    backend.on_chord_part_return(part, states.SUCCESS, 42)
    assert backend.client.zcard(backend.get_key_for_group("g1", ".j")) == 1
