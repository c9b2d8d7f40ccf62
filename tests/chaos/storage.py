"""What each way of running Redis can lose, and cannot."""

from __future__ import annotations

import time
from collections.abc import Callable

from . import sentinels
from .ledger import now
from .play import Play
from .scenario import scenario
from .servers import Surviving


def _break(play: Play, break_it: Callable[[], object]) -> None:
    """Publish and run under load, break the server, start it again on what it has."""
    play.stage.ensure(2)
    [long] = play.send("work", play.timing.lease * 0.5 + 3)
    play.running([long])
    # More than the workers can do, so that some wait.
    with play.stream(40, 0.05):
        time.sleep(play.timing.pick(1.5, 3.0))
        at = now()
        play.outage(break_it, play.stage.server.start, 0.3)
        play.notes.append(f"sent in the last second: {play.sent_since(at - 1.0, at)}")
        time.sleep(2.0)


def _power_cut(play: Play) -> None:
    surviving = Surviving(play.stage.server)
    surviving.start()
    _break(play, surviving.cut)


@scenario(
    "Redis killed (SIGKILL), AOF everysec",
    loses="what was answered while its file was being flushed",
    patience=15.0,
)
def killed_everysec(play: Play) -> None:
    """A flush that is under way holds up the writing to the file, but not the answers."""
    _break(play, play.stage.server.kill)


@scenario("power cut of Redis without persistence", keeping="nothing", loses="all that waited", patience=15.0)
def power_nothing(play: Play) -> None:
    """All that waited is gone; what ran is said again by its holders."""
    _power_cut(play)


@scenario("power cut of Redis, AOF everysec", loses="the last second", patience=15.0)
def power_everysec(play: Play) -> None:
    """The last second is gone."""
    _power_cut(play)


@scenario("power cut of Redis, AOF always", keeping="always", patience=30.0)
def power_always(play: Play) -> None:
    """Nothing is answered before it is on the disk."""
    _power_cut(play)


@scenario(
    "primary cut off from its replica, then failed over; min-replicas-to-write 1",
    loses="what was not replicated",
    needs=("redis-server", "redis-sentinel", "openssl"),
    own=True,
    patience=20.0,
)
def split_primary(play: Play) -> None:
    """The replica hangs, and with it what it should have heard; then the primary dies and the replica takes over.

    The new primary takes no writes before it has a replica itself, which is the old one, started again.
    """
    lab = sentinels.Lab(play.stage.folder / "sentinels", waits=1)
    play.stage.at_end(lab.stop)
    lab.start()
    play.stage.client = lab.client
    play.stage.begin(lab.access())
    play.stage.ensure(2)
    with play.stream(20, 0.02):
        play.await_ended(10)
        workers = [(worker, worker.holders) for worker in play.stage.living()]
        play.outage(lambda: lab.freeze_replica_and_kill(0.5), lab.restart_old, 0.0)
        time.sleep(5)
    died = [holders for worker, holders in workers if not worker.process.lives]
    if died:
        # As systemd does: neither side's workers survive a server that refuses to write.
        play.notes.append(f"{len(died)} workers ended by NOREPLICAS, started again")
        play.broke(pid for holders in died for pid in holders)
        play.stage.ensure(2)
