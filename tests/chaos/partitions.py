"""A node is cut off from the broker and comes back."""

from __future__ import annotations

import time

from .cables import ADDRESS, Cables
from .ledger import now
from .play import Play
from .scenario import scenario
from .stage import Worker


def _far(play: Play, cables: Cables) -> Worker:
    """A worker on a node of its own."""
    far = play.stage.start_worker(0, "node2", cables.wrap(1))
    play.stage.await_ready([far])
    return far


def _bridge(play: Play) -> Cables:
    """The cables; the server, which listens on the bridge, can start only when there is one."""
    cables = Cables()
    play.stage.at_end(cables.stop)
    cables.start(1)
    play.stage.begin_bound(ADDRESS)
    return cables


@scenario(
    "node cut off in the middle of a task, healed later",
    recovery=(1, 2.0),
    visibility=10.0,
    patience=60.0,
    needs=("root", "ip"),
    own=True,
)
def cable(play: Play) -> None:
    """The node runs a task when its cable is cut; the guard ends the task there before it starts elsewhere."""
    cables = _bridge(play)
    far = _far(play, cables)
    lease = play.timing.lease
    play.running(play.send("work", lease * 2.5))
    play.stage.ensure(2)
    at, away = now(), lease * 2
    play.broke(far.holders, at=at, until=at + away)
    cables.cut(1)
    play.send("work", 0.05, number=10)
    time.sleep(away)
    cables.heal(1)
    play.send("work", 0.05, number=10)
    _await_work_of(play, far)


@scenario(
    "idle node cut off under 50 tasks/s, healed later",
    visibility=10.0,
    patience=60.0,
    needs=("root", "ip"),
    own=True,
)
def idle_cable(play: Play) -> None:
    """Whoever pushes messages towards a cut cable loses them; nobody may."""
    cables = _bridge(play)
    far = _far(play, cables)
    play.stage.ensure(1)
    with play.stream(50, 0.002):
        play.await_ended(50)
        at, away = now(), play.timing.lease * 1.3
        play.broke(far.holders, at=at, until=at + away)
        cables.cut(1)
        time.sleep(away)
        cables.heal(1)
        time.sleep(2.0)
    _await_work_of(play, far)


def _await_work_of(play: Play, worker: Worker) -> None:
    """The healed node takes tasks again."""
    if not play.on_gridq:
        return
    end, healed = time.monotonic() + 20 + play.timing.lease, now()
    while time.monotonic() < end:
        play.send("work", 0.2, number=2)
        time.sleep(0.5)
        if any(each.parent == worker.process.pid and each.start > healed for each in play.executions()):
            play.notes.append(f"healed node works again after {now() - healed:.1f} s")
            return
    play.expect(False, "the healed node takes no tasks any more")
