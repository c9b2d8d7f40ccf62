"""Callers of dead letters learn that their tasks were lost: each once, through every kind of canvas."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import shop
from celery import chord
from lane import TERMS, Lane

from gridq import config
from gridq.errors import TaskLost
from gridq.store import dead, leases, telling
from gridq.store.leases import Claimant
from gridq.worker import reaper

WORKER = "gpu0@node1"


@pytest.fixture
def app(database: Any) -> Iterator[Any]:
    """A shop without workers."""
    variables = {"GRIDQ_BROKER_URL": database.url, "GRIDQ_RESULT_BACKEND": database.results}
    app = shop.build(config.load(environ=variables))
    yield app
    app.close()


pytestmark = pytest.mark.filterwarnings("ignore::gridq.errors.UnmetNeedWarning")


@pytest.fixture
def lane(database: Any) -> Lane:
    return Lane(database.client)


def bury(lane: Lane, reason: str = "its process died") -> list[str]:
    """Claim and bury whatever waits; the ids."""
    leases.register(lane.client, Claimant(WORKER, "token", lock="lock"), TERMS)
    buried = []
    worker = lane.consumer(WORKER)
    while found := worker.look():
        claim, _, task = found
        assert dead.bury(lane.client, WORKER, claim, reason)
        buried.append(task)
    return buried


def work(app: Any) -> Any:
    return app.tasks["shop.scale"]


def test_a_letter_with_error_callbacks_is_told_and_they_are_called(app: Any, lane: Lane) -> None:
    # Celery calls what it has itself at once; another worker's task it publishes, as the child of the lost one.
    callback = app.signature("elsewhere.mourn", immutable=True)
    handle = work(app).apply_async((1,), link_error=callback)
    assert bury(lane) == [handle.id]
    reaper.tell_all(lane.client, app)
    with pytest.raises(TaskLost, match="its process died"):
        handle.get(timeout=5)
    assert dead.untold(lane.client) == []
    assert lane.length("cpu", 3) == 1, "the error callback is a task on its way"
    assert lane.client.command("EXISTS", f"gridq:telling:{handle.id}") == 0


def test_the_end_of_a_chain_is_lost_with_its_first_task(app: Any, lane: Lane) -> None:
    handle = (work(app).s(1) | work(app).s() | work(app).s()).apply_async()
    assert len(bury(lane)) == 1
    reaper.tell_all(lane.client, app)
    # By its id alone, as whoever was handed no more than that asks: the result knows its parents.
    with pytest.raises(TaskLost):
        app.AsyncResult(handle.id).get(timeout=5)


def test_a_chord_whose_header_holds_a_chain_is_lost_with_it(app: Any, lane: Lane) -> None:
    header = [work(app).s(1) | work(app).s()]
    handle = chord(header)(app.tasks["shop.total"].s())
    assert len(bury(lane)) == 1
    reaper.tell_all(lane.client, app)
    with pytest.raises(Exception, match="its process died"):
        handle.get(timeout=5)


def test_one_letter_that_cannot_be_told_keeps_no_other_from_it_and_is_told_later(
    app: Any, lane: Lane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    handles = {handle.id: handle for handle in (work(app).delay(number) for number in range(3))}
    poison = sorted(bury(lane))[1]
    tell, tries = reaper.tell, []

    def fail(app: Any, letter: Any) -> None:
        tries.append(letter.id)
        if letter.id == poison:
            raise AttributeError("None has no get")
        tell(app, letter)

    monkeypatch.setattr(reaper, "tell", fail)
    for _ in range(3):
        reaper.tell_all(lane.client, app)
    assert sorted(tries) == sorted(handles), "each was tried once: what failed is left alone for a while"
    assert [letter.id for letter in dead.untold(lane.client)] == [poison]
    assert "could not be told" in caplog.text and "None has no get" in caplog.text
    monkeypatch.undo()
    assert 0 < lane.client.command("PTTL", f"gridq:telling:{poison}") <= telling.TERM
    lane.client.command("DEL", f"gridq:telling:{poison}")
    reaper.tell_all(lane.client, app)
    for handle in handles.values():
        with pytest.raises(TaskLost):
            handle.get(timeout=5)


def test_each_letter_is_told_by_one_worker(app: Any, lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        work(app).delay(number)
    ids, told = bury(lane), []
    together = threading.Barrier(4)
    monkeypatch.setattr(reaper, "tell", lambda app, letter: told.append(letter.id))

    def tell() -> None:
        together.wait()
        reaper.tell_all(lane.client, app)

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == sorted(ids)
