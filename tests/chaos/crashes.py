"""Processes that end or freeze: children, workers, all workers."""

from __future__ import annotations

import os
import signal
import time

from .ledger import now
from .play import Play
from .scenario import scenario


@scenario("child of a worker killed (SIGKILL)", recovery=(0, 1.0))
def child(play: Play) -> None:
    """Three times a process that runs a task is killed."""
    play.stage.ensure(2)
    tasks = play.send("work", play.timing.pick(0.3, 0.5), number=play.timing.pick(10, 40))
    for _ in range(play.timing.pick(2, 5)):
        victim = play.random.choice(play.running(tasks, at_least=2))
        with play.losing({victim.pid}):
            os.kill(victim.pid, signal.SIGKILL)
        time.sleep(play.random.uniform(0.2, 0.6))


@scenario("worker killed (SIGKILL), another goes on", recovery=(1, 2.0), visibility=10.0, patience=60.0)
def worker(play: Play) -> None:
    """A worker's main process dies in the middle of a task, and does not come back."""
    play.stage.ensure(2)
    tasks = play.send("work", play.timing.pick(0.3, 0.5), number=play.timing.pick(8, 40))
    play.await_ended(play.timing.pick(2, 5))
    victim = play.random.choice(play.running(tasks, at_least=2))
    lost = play.worker_of(victim)
    with play.losing(lost.holders):
        lost.process.signal(signal.SIGKILL)


@scenario("worker killed (SIGKILL), started again at once", recovery=(0, 6.0), visibility=10.0, patience=60.0)
def comeback(play: Play) -> None:
    """A worker's main process dies and is started again, as systemd does."""
    play.stage.ensure(2)
    seconds = play.timing.pick(1.0, 4.0)
    tasks = play.send("work", seconds, number=2)
    lost = play.worker_of(play.random.choice(play.running(tasks, at_least=2)))
    with play.losing(lost.holders):
        lost.process.signal(signal.SIGKILL)
    play.send("work", seconds, number=2)
    play.stage.start_worker(lost.number)


@scenario("all workers killed (SIGKILL), then new ones", recovery=(0, 8.0), visibility=10.0, patience=60.0)
def fleet(play: Play) -> None:
    """Every process of every worker dies at once; new workers come."""
    play.stage.ensure(2)
    play.send("work", play.timing.pick(0.4, 0.5), number=play.timing.pick(6, 40))
    play.await_ended(2)
    play.running(at_least=2)
    lost = play.stage.living()
    with play.losing(pid for worker in lost for pid in worker.holders):
        for each in lost:
            each.process.signal_everyone(signal.SIGKILL)
    play.stage.ensure(2)


@scenario("worker frozen (SIGSTOP) for longer than its lease", recovery=(1, 2.0), visibility=10.0, patience=60.0)
def frozen_worker(play: Play) -> None:
    """The main process hangs, its children do not; later it goes on."""
    play.stage.ensure(2)
    lease = play.timing.lease
    [task] = play.send("work", lease * 1.5)
    [victim] = play.running([task])
    lost = play.worker_of(victim)
    at = now()
    play.broke(lost.holders, at=at, until=at + lease * 1.6)
    lost.process.signal(signal.SIGSTOP)
    play.send("work", 0.1, number=4)
    time.sleep(lease * 1.6)
    lost.process.signal(signal.SIGCONT)
    play.send("work", 0.1, number=4)
    _both_work(play, lost.process.pid)


@scenario(
    "whole node frozen (SIGSTOP of everything) for longer than its lease",
    recovery=(1, 2.0),
    visibility=10.0,
    patience=60.0,
    grace=0.5,
)
def frozen_node(play: Play) -> None:
    """Nothing on the node can kill anything; when it thaws, its task has been started elsewhere."""
    play.stage.ensure(2)
    lease = play.timing.lease
    [task] = play.send("work", lease * 2)
    [victim] = play.running([task])
    lost = play.worker_of(victim)
    at = now()
    play.broke(lost.holders, at=at, until=at + lease * 1.6, frozen=True)
    lost.process.signal_everyone(signal.SIGSTOP)
    time.sleep(lease * 1.6)
    lost.process.signal_everyone(signal.SIGCONT)
    play.send("work", 0.1, number=4)
    _both_work(play, lost.process.pid)


def _both_work(play: Play, thawed: int) -> None:
    """The worker that was frozen takes tasks again."""
    if not play.on_gridq:
        return
    end = time.monotonic() + 10 + play.timing.lease
    while time.monotonic() < end:
        sent = play.send("work", 0.3, number=2)
        play.await_ended(len(play.sent))
        if any(each.parent == thawed for each in play.executions(sent)):
            return
    play.expect(False, "the worker that was frozen takes no tasks any more")
