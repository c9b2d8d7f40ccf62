"""Task events go out a few at a time, none too late, and none is left when the connection is given up."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from gridq.worker.events import WAIT, Events


class Loop:
    """What is to be called later."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self.later.append((seconds, call))

    def pass_time(self) -> None:
        due, self.later = self.later, []
        for _, call in due:
            call()


class Dispatcher:
    """Counts how often it was told to send; `on_send_buffered` is called at each event, as Celery's does."""

    def __init__(self) -> None:
        self.sent = 0
        self.on_send_buffered: Callable[[], None] = lambda: None

    def flush(self) -> None:
        self.sent += 1


def consumer(loop: Loop | None) -> SimpleNamespace:
    return SimpleNamespace(
        event_dispatcher=Dispatcher(), hub=loop, connection_errors=(ConnectionError,), channel_errors=()
    )


def test_events_of_a_moment_go_out_together() -> None:
    loop = Loop()
    worker = consumer(loop)
    Events(worker).start(worker)
    for _ in range(3):
        worker.event_dispatcher.on_send_buffered()
    assert [seconds for seconds, _ in loop.later] == [WAIT] and worker.event_dispatcher.sent == 0
    loop.pass_time()
    assert worker.event_dispatcher.sent == 1
    worker.event_dispatcher.on_send_buffered()
    loop.pass_time()
    assert worker.event_dispatcher.sent == 2


def test_what_was_collected_goes_out_before_the_connection_goes() -> None:
    worker = consumer(Loop())
    step = Events(worker)
    step.start(worker)
    worker.event_dispatcher.on_send_buffered()
    step.stop(worker)
    assert worker.event_dispatcher.sent == 1


def test_a_worker_without_a_loop_sends_as_celery_does() -> None:
    worker = consumer(None)
    before = worker.event_dispatcher.on_send_buffered
    Events(worker).start(worker)
    assert worker.event_dispatcher.on_send_buffered is before
