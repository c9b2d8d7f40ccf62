"""A task with a base class of its own that is none of gridq's."""

from __future__ import annotations

import shop
from celery import Task


class OtherTask(Task):
    """Knows nothing of leases."""


@shop.app.task(name="shop.other", base=OtherTask)
def other() -> None:
    """Does nothing."""
