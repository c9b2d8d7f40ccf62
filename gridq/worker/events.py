"""Task events, which Flower and other monitors see, sent a few at a time.

Celery sends them at each turn of its loop: for a small task that costs as much as the task itself. Monitors take events
one by one or in lists, and each has the time at which it happened.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from kombu.common import ignore_errors

#: Seconds for which events are collected at most: less than anybody sees on a page. Celery sends them at 24, too.
WAIT = 0.1


class Events(bootsteps.StartStopStep):
    """The bootstep that puts off the sending."""

    requires = ("celery.worker.consumer.events:Events",)

    def start(self, consumer: Any) -> None:
        """Celery's hook, at each connection."""
        dispatcher, loop = consumer.event_dispatcher, consumer.hub
        if loop is None:
            return
        waiting = False

        def send() -> None:
            nonlocal waiting
            waiting = False
            dispatcher.flush()

        def collect() -> None:
            nonlocal waiting
            if not waiting:
                waiting = True
                loop.call_later(WAIT, send)

        dispatcher.on_send_buffered = collect

    def stop(self, consumer: Any) -> None:
        """Celery's hook: what has been collected goes out while there is a connection."""
        if consumer.event_dispatcher is not None:
            ignore_errors(consumer, consumer.event_dispatcher.flush)
