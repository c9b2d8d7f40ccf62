"""Tasks that last long, and tasks that wait for their time."""

from __future__ import annotations

import signal

from .play import Play
from .scenario import scenario


@scenario("task far longer than every timeout", lease=2.0, visibility=1.0, patience=30.0)
def long_task(play: Play) -> None:
    """100 s in the long form, two leases and a half in the short one; for stock Celery a visibility timeout of 1 s."""
    play.stage.ensure(2)
    tasks = play.send("work", play.timing.pick(5.0, 100.0))
    play.running(tasks)
    play.await_ended(1, patience=130.0)


@scenario("worker killed while tasks wait for their countdown", visibility=10.0, patience=60.0)
def countdown(play: Play) -> None:
    """Every worker dies, so that whoever keeps waiting tasks in a worker's memory has them no more."""
    play.stage.ensure(2)
    play.send("work", 0.05, number=play.timing.pick(6, 20), countdown=play.timing.pick(2.0, 6.0))
    play.await_ended(0)
    _restart_all(play)


@scenario("worker killed while tasks wait for their retry", visibility=10.0, patience=60.0)
def retry(play: Play) -> None:
    """The same, for tasks that asked for another try."""
    play.stage.ensure(2)
    amount = play.timing.pick(6, 20)
    play.send("try_again", 0.05, play.timing.pick(2.0, 6.0), number=amount, last=1)
    play.await_ended(amount)
    _restart_all(play)


def _restart_all(play: Play) -> None:
    lost = play.stage.living()
    with play.losing(pid for worker in lost for pid in worker.holders):
        for each in lost:
            each.process.signal_everyone(signal.SIGKILL)
    play.stage.ensure(2)
