"""kombu's bookkeeping of delivered messages, done by claims instead."""

from __future__ import annotations

from typing import Any

from celery.worker.state import reserved_requests
from kombu.transport import virtual

from gridq.broker.holder import Holder


class ClaimQoS(virtual.QoS):
    """Acknowledges by claim id, and lets a channel look for tasks only while its worker has a free slot."""

    def __init__(self, channel: Any, prefetch_count: int, holder: Holder) -> None:
        super().__init__(channel, prefetch_count)
        self.holder = holder

    @property
    def free_slots(self) -> int:
        """How many tasks the worker could start now.

        What the holder holds survives a reconnect, which Celery's own count does not; and Celery counts what was
        acknowledged before it ended (acks_late=False), which the holder does not.
        """
        return max(0, (self.prefetch_count or 2**16) - max(len(self.holder.held), len(reserved_requests)))

    def can_consume(self) -> bool:
        return self.free_slots > 0

    def ack(self, delivery_tag: str) -> None:
        self.holder.ack(delivery_tag)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if requeue:
            self.holder.release(delivery_tag)
        else:
            self.holder.bury(delivery_tag, "rejected by its worker")
        super().ack(delivery_tag)

    def settled(self, delivery_tag: str) -> None:
        """Its claim has ended otherwise."""
        super().ack(delivery_tag)

    def restore_unacked(self) -> list[Any]:
        """A closed connection says nothing about the tasks that run: they stay claimed."""
        return []

    def restore_unacked_once(self, stderr: Any = None) -> None:
        self._on_collect.cancel()

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """No visibility timeout: a task may run for a week."""
