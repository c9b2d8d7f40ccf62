"""Leases: a worker's right to hold tasks.

**The protocol.** A worker registers under its name with a token that no other incarnation has, and gets a lease (10 s).
Every heartbeat (2 s) renews it. The lease ends at a time of Redis' clock, which the scripts alone read; no node's clock
is ever compared with another's. Every worker looks every second for leases that have ended (`reap`); what their
holders held goes back to its queues in the same step in which the lease is taken away.

**What a holder may do.** It claims only while its name's lease is its own and holds (claim.lua looks). It acks and
releases by claim id, and a claim that was taken away is gone: a late ack finds nothing and changes nothing. On its own
node it reckons from the moment *before* it sent the last successful renewal, by a clock that also counts suspended
time, so that the lease it believes in ends before the one that Redis knows. A guard process of its own kills its tasks
a margin (a fifth of the lease, 2 s) before that: time for the guard to be scheduled late and for the kills to take
effect. So no task starts elsewhere while its old process can still run.

**What can still happen.** A whole node that is frozen (SIGSTOP of everything, a paused VM) cannot kill anything. When
it thaws, its tasks may run for as long as the guard needs to be scheduled, a tenth of a second; their results are
refused, since a task's process looks at its lease before it stores one. What they do to the outside world in that
moment cannot be refused by anybody.

**At each failure.**

- A worker's main loop hangs: its heartbeat sees that it no longer turns, and lets the lease end.
- A task's process dies: its worker sees it at once, and `lose`s the claim: back to the queue, one loss counted.
- A worker dies: its children die with it (the kernel sees to it), its guard kills what they started. Another worker
  reaps its lease when it ends; or the same worker starts again before that and takes back at once what its former
  self held: it holds the same lock file, so the former self is dead.
- A node dies, or is cut off: its lease ends; the guard on it has killed its tasks by then.
- Redis is away for less than the lease: tasks go on; the next renewal comes in time.
- Redis is away for longer: every guard kills its worker's tasks. When Redis is back, nobody has reaped for a while, so
  every lease gets one more term, in which its holder registers again and takes back what it held, no loss counted.
- Redis comes back without its memory, or without its last second (failover): the epoch is another one, or a claim is
  missing. The worker says again what it holds (`reassert`), and the message is taken out of its list if it is there.
- A worker is told to stop, or drained with a deadline: it claims nothing more; what has not ended in time is killed,
  seen to be dead, and goes back, no loss counted. So does all that it runs in a cold shutdown. Its lease it gives back
  when Redis has been told of all that has ended here, or when it ends.
- A GPU fails under a task: it is killed and goes back, no loss counted; only a task that `max_attempts` GPUs failed
  under is buried, since it would go on from card to card.
- A task that was to be cancelled is lost with its worker: it ends as cancelled, and runs nowhere again.
- A task is lost `max_attempts` (3) times: it goes to the dead letters, and its caller gets TaskLost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gridq.store.claims import Offer
from gridq.store.client import Client
from gridq.store.workers import WorkerStatus


@dataclass(frozen=True, slots=True)
class Claimant:
    """One incarnation of a worker.

    Attributes:
        name: the worker's name.
        token: what tells this incarnation from every other.
        lock: identifies the file whose lock goes with the name on its node: the same lock, a dead former holder.
        node: the host.
    """

    name: str
    token: str
    lock: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What leases are about.

    Attributes:
        lease: seconds.
        limit: how many times a task may be lost before it is buried.
        suffixes: what stands behind a queue's name for each priority step.
    """

    lease: float
    limit: int
    suffixes: Sequence[str]

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return int(self.lease * 1000)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a loss is counted as: the record's field, and at which count the task is buried; no field: not at all.

    `losses` are put down to the task. `gpu_losses` are the hardware's, but a task that several GPUs in a row died under
    would go on from card to card through the whole fleet.
    """

    counter: str = ""
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Registered:
    """The lease is ours: the server's epoch, and how many tasks of a former self went back, and to the dead letters.

    `drain` as in Renewed.
    """

    epoch: str
    back: int
    dead: int
    drain: float | None = None


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a heartbeat was answered.

    Attributes:
        ours: whether the lease is still ours.
        epoch: the server's.
        drain: None unless the worker or its node is drained; then the seconds until what still runs is ended, infinite
            where it may go on.
        work_waits: whether something waits that the worker has offered to take.
    """

    ours: bool
    epoch: str
    drain: float | None = None
    work_waits: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The name has a living holder, whose lease ends in so many seconds if it does not renew it."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reaped:
    """A worker whose lease had ended, and how many of its tasks went back, and to the dead letters."""

    worker: str
    back: int
    dead: int


def register(client: Client, who: Claimant, terms: Terms, *, again: bool = False) -> Registered | Refused:
    """Become the holder of the name, unless somebody living is.

    Args:
        again: whether this process held the name before: then what it held was not lost with a dead worker.
    """
    limit = 0 if again else terms.limit
    first, back, dead, *drained = client.run(
        "register", who.name, who.token, terms.lease_ms, who.lock, limit, who.node, *terms.suffixes
    )
    if not first:
        return Refused(int(dead) / 1000)
    return Registered(bytes(first).decode(), int(back), int(dead), _drain(drained[0]))


def renew(client: Client, who: Claimant, terms: Terms, status: WorkerStatus, offer: Offer | None = None) -> Renewed:
    """Renew the lease and write the heartbeat.

    Args:
        offer: what an idle worker would take, to learn whether it waits; None not to ask.
    """
    text, free = json.dumps(status.to_dict()), offer.free if offer else 0
    lists = [queue + suffix for queue in offer.queues for suffix in terms.suffixes] if offer else []
    asked: tuple[str | int, ...] = (status.node, free, len(lists), *lists, *_gpus(status))
    ours, epoch, *more = client.run("heartbeat", who.name, who.token, terms.lease_ms, text, *asked)
    if not ours:
        return Renewed(False, bytes(epoch).decode())
    drained, waits = more
    return Renewed(True, bytes(epoch).decode(), _drain(drained), bool(waits))


def _drain(left: int) -> float | None:
    """Seconds from what drain_left in shared.lua says."""
    if left < 0:
        return math.inf if left == -1 else None
    return left / 1000


def _gpus(status: WorkerStatus) -> list[str]:
    """The `gridq:gpus` fields of a heartbeat, key, facts, …; simulated GPUs have the same uuids on every node."""
    facts = {"node": status.node, "worker": status.name, "gpus": len(status.gpus)}
    return [
        text
        for gpu in status.gpus
        for text in (f"{status.node}/{gpu.device.uuid}", json.dumps(facts | gpu.device.to_dict()))
    ]


def reap(client: Client, terms: Terms) -> list[Reaped]:
    """Take back what workers held whose lease has ended."""
    found = client.run("reap", terms.limit, terms.lease_ms, *terms.suffixes)
    return [
        Reaped(bytes(worker).decode(), int(back), int(dead))
        for worker, back, dead in zip(found[::3], found[1::3], found[2::3], strict=True)
    ]


def give_up(client: Client, who: Claimant, terms: Terms) -> bool:
    """A worker stops: what it still holds goes back, no loss counted. Returns whether the lease was its own."""
    return bool(client.run("forget", who.name, who.token, *terms.suffixes))


def reassert(client: Client, worker: str, token: str, held: Iterable[tuple[str, str, str, str, str]]) -> list[str]:
    """Say again what a worker holds.

    Args:
        token: of its lease.
        held: claim id, queue, suffix, task id and message of each claim.

    Returns:
        The claims that are another's by now.
    """
    arguments = [text for claim in held for text in claim]
    return [bytes(claim).decode() for claim in client.run("reassert", worker, token, *arguments)] if arguments else []


def lose(client: Client, worker: str, claim: str, reason: str, charge: Charge) -> str:
    """A task's process died under its living worker.

    Returns:
        `waiting`, `dead`, `cancelled`, or `gone` when the claim was another's already.
    """
    return bytes(client.run("lose", worker, claim, reason, charge.counter, charge.limit)).decode()
