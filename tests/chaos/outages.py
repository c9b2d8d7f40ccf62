"""The broker goes away for a while: restarted, failed over, frozen."""

from __future__ import annotations

import time

from . import sentinels
from .play import Play
from .scenario import scenario


@scenario("Redis restarted on its AOF, under load", recovery=(0, 5.0))
def restart(play: Play) -> None:
    """The server is stopped in the middle of publishing and running, and comes back with its data."""
    play.stage.ensure(2)
    server = play.stage.server
    play.running(play.send("work", play.timing.pick(3.0, 8.0)))
    with play.stream(play.timing.pick(20, 30), 0.02):
        play.await_ended(5)
        for _ in range(play.timing.pick(1, 3)):
            play.outage(server.shut_down, server.start, 0.3)
            time.sleep(play.timing.pick(1.5, 4.0))


@scenario(
    "Redis failed over (TLS, access lists, Sentinel)",
    recovery=(0, 8.0),
    needs=("redis-server", "redis-sentinel", "openssl"),
    own=True,
)
def failover(play: Play) -> None:
    """The primary is killed under load; the Sentinels make the replica the primary."""
    lab = sentinels.Lab(play.stage.folder / "sentinels")
    play.stage.at_end(lab.stop)
    lab.start()
    play.stage.client = lab.client
    play.stage.begin(lab.access())
    play.stage.ensure(2)
    [long] = play.send("work", 8.0)
    play.running([long])
    with play.stream(20, 0.02):
        play.await_ended(10)
        play.outage(lab.kill_primary, lab.await_primary, 0.0)
        time.sleep(6)


@scenario("Redis frozen for less than a lease", recovery=(0, 2.0))
def short_pause(play: Play) -> None:
    """What runs goes on, once each."""
    play.stage.ensure(3)
    lease = play.timing.lease
    tasks = play.send("work", lease, number=2)
    play.running(tasks, at_least=2)
    play.outage(play.stage.server.pause, play.stage.server.resume, lease * 0.3)
    play.send("work", 0.1, number=4)


@scenario("Redis frozen for longer than a lease", recovery=(1, 4.0))
def long_pause(play: Play) -> None:
    """Workers cannot know whether they were given up: their guards end what runs, and it runs again afterwards."""
    play.stage.ensure(2)
    lease = play.timing.lease
    tasks = play.send("work", lease * 1.2, number=2)
    play.send("work", 0.1, number=4)
    play.running(tasks, at_least=2)
    play.outage(play.stage.server.pause, play.stage.server.resume, lease * 1.5)
