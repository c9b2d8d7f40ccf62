"""GPUs that fail while tasks run; stock Celery knows none."""

from __future__ import annotations

import time

from .ledger import now
from .play import Play
from .scenario import scenario


@scenario("probe of a GPU hangs", sides=("gridq",))
def hung_probe(play: Play) -> None:
    """The driver answers no more: the GPU takes no new work, what runs ends, and it works again afterwards."""
    workers = play.stage.ensure(2)
    simulator, uuid = play.stage.simulator(), _uuid(0)
    tasks = play.send("work", 2.0, number=2)
    play.running(tasks, at_least=2)
    simulator.set(uuid, hang=True)
    time.sleep(3.0)
    hung_at = now()
    play.send("work", 0.2, number=6)
    play.await_ended(8)
    taken = [each for each in play.executions() if each.parent == workers[0].process.pid and each.start > hung_at]
    play.expect(not taken, "a GPU that says nothing took a task")
    simulator.set(uuid, hang=False)
    _await_work_of(play, workers[0].process.pid)


@scenario("XID 79 in the middle of a task", sides=("gridq",), recovery=(1, 2.0))
def xid(play: Play) -> None:
    """The card falls off the bus: what ran on it runs elsewhere, and it takes nothing more."""
    _sicken(play, lambda simulator, uuid: simulator.raise_xid(uuid, 79))


@scenario("GPU lost in the middle of a task", sides=("gridq",), recovery=(1, 2.0))
def lost_gpu(play: Play) -> None:
    """The driver says that there is no such GPU any more."""
    _sicken(play, lambda simulator, uuid: simulator.set(uuid, lost=True))


def _sicken(play: Play, make_sick: object) -> None:
    workers = play.stage.ensure(2)
    simulator, uuid = play.stage.simulator(), _uuid(0)
    tasks = play.send("work", play.timing.pick(2.0, 8.0), number=2)
    running = play.running(tasks, at_least=2)
    victim = next(each for each in running if each.parent == workers[0].process.pid)
    play.broke({victim.pid})
    make_sick(simulator, uuid)  # type: ignore[operator]
    play.stage.ensure(3)
    sick_at = now()
    play.send("work", 0.2, number=6)
    play.await_ended(8)
    taken = [each for each in play.executions() if each.parent == workers[0].process.pid and each.start > sick_at]
    play.expect(not taken, "a sick GPU took a task")
    ran_on = [each for each in play.executions([victim.task]) if each.end and each.pid == victim.pid]
    play.expect(not ran_on, "the task went on where its GPU was lost")
    simulator.reset(uuid)


def _await_work_of(play: Play, parent: int) -> None:
    end, well = time.monotonic() + 15, now()
    while time.monotonic() < end:
        play.send("work", 0.2, number=2)
        time.sleep(0.4)
        if any(each.parent == parent and each.start > well for each in play.executions()):
            return
    play.expect(False, "the GPU that is well again takes no tasks")


def _uuid(index: int) -> str:
    return f"SIM-{index:04d}-24gib"
