"""What a worker does at the end of a task, as Celery really calls it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker.request import create_request_cls

from gridq.worker import request as module
from gridq.worker.request import Request


class Holder:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def note(self, claim: str, outcome: Any) -> None:
        self.told.append(("note", claim, outcome.state))

    def ended(self, claim: str) -> None:
        self.told.append(("ended", claim))


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
def request_(holder: Holder) -> Any:
    """A request of the class that Celery makes for a task that acks early."""
    task = SimpleNamespace(time_limit=None, soft_time_limit=None, acks_late=False, Request=Request)
    pool = SimpleNamespace(apply_async=None)
    made = create_request_cls(Request, task, pool, "gpu0@node1", None, task_ready=lambda *_, **__: None, trace=object())
    found = made.__new__(made)
    found._app = SimpleNamespace(amqp=SimpleNamespace(holder=holder))
    found._message = SimpleNamespace(delivery_tag="c1")
    return found


def test_the_end_of_a_task_that_succeeded_is_heard_although_celery_has_a_method_of_its_own(
    request_: Any, holder: Holder
) -> None:
    request_.on_success((False, "result", 1.0))
    assert holder.told == [("ended", "c1")]


def test_a_task_that_succeeds_while_it_is_ended_is_done_and_its_child_gets_no_other(
    request_: Any, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    monkeypatch.setattr(module, "kill_group", killed.append)
    request_._ending = 7
    request_.on_success((False, "result", 1.0))
    assert holder.told == [("ended", "c1"), ("note", "c1", "done")]
    assert killed == [7]
