"""Messages on their way: put, claim, ack, release. Each is one script, so nothing can be lost between two steps.

A claim is one message held by one worker, written down in the same step in which it leaves its list. A worker acks or
releases by claim id, on whatever connection it has then. Claim ids are never used twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gridq.errors import UnconfirmedError
from gridq.queues import is_gpu, vram_ceiling
from gridq.store.client import Client, script_sha, script_text
from gridq.store.keys import CLAIMS, CONSTRAINED

#: Bytes that stand for "as much as there is": CPU workers have no GPU memory to count.
UNLIMITED = 2**52


@dataclass(frozen=True, slots=True)
class Posting:
    """A task's message on its way into a queue.

    Attributes:
        raw: the message as kombu wrote it.
        queue: the shared queue.
        suffix: what kombu appends to the queue's name for the message's priority.
        bytes: GPU memory that the task needs.
        candidates: workers on which it may be placed if they are ready, best first.
        delay: seconds until it is due, 0 for now.
        delivery: an id that no other message has, the same for every try to publish this one.
        constrained: whether it must be told that the queue exists, see queues.must_be_told.
        task_id: whose record is written.
        record: further fields of the record.
        decided_in: seconds that the router took to decide; None where it did not.
    """

    raw: str
    queue: str
    suffix: str = ""
    bytes: int = 0
    candidates: Sequence[str] = ()
    delay: float = 0.0
    delivery: str = ""
    constrained: bool = False
    task_id: str = ""
    record: Mapping[str, str] = field(default_factory=dict)
    decided_in: float | None = None

    def arguments(self) -> list[str | int]:
        """The arguments of put.lua, the key prefix apart."""
        fields = [text for pair in self.record.items() for text in pair]
        return [
            self.raw,
            self.queue,
            self.suffix,
            self.bytes,
            "\n".join(self.candidates),
            int(self.delay * 1000),
            self.delivery,
            "1" if self.constrained else "0",
            self.task_id,
            "" if self.decided_in is None else int(self.decided_in * 1e6),
            *fields,
        ]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker can take now.

    Attributes:
        queues: into which it looks, in this order.
        slots: how many tasks it can start.
        free: bytes of GPU memory that are free on each of its GPUs.
        rank: its place among ready workers; the lightest has the smallest.
        token: of the lease under which it claims; empty for whatever lease its name has.
    """

    queues: Sequence[str]
    slots: int
    free: int = UNLIMITED
    rank: float = 0.0
    token: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who claims: the worker by name, and the one consumer (channel) of it that looks now."""

    worker: str
    consumer: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended: done, failed, cancelled or dead, why where there is something to say, and what was measured of
    it, as fields of its record."""

    state: str = "done"
    reason: str = ""
    measured: Mapping[str, str] = field(default_factory=dict)


def put(client: Client, posting: Posting) -> str:
    """Publish; returns the queue that the message went to."""
    return bytes(client.run("put", *posting.arguments())).decode()


def put_confirmed(client: Client, posting: Posting, by: str, timeout: float) -> str:
    """Publish and wait until it is safe.

    Args:
        by: `replica`, or `aof` for the server's disk (Redis 7.2 or newer).
        timeout: seconds to wait.

    Raises:
        UnconfirmedError: when that did not happen in time; the task is published all the same.
    """
    milliseconds = max(1, int(timeout * 1000))
    then = ("WAIT", 1, milliseconds) if by == "replica" else ("WAITAOF", 1, 0, milliseconds)
    queue, confirmed = client.run_then("put", posting.arguments(), then)
    count = confirmed[0] if isinstance(confirmed, list) else confirmed
    if not count:
        raise UnconfirmedError(
            f"task {posting.task_id} was published, but expected confirmation by {by} within {timeout:g}s, got none",
            hint="the task will run; is a replica connected (confirm: replica), is appendonly on (confirm: aof)?",
        )
    return bytes(queue).decode()


def put_command(posting: Posting, prefix: str) -> tuple[str | int, ...]:
    """What `put` does as arguments of an EVAL command, for a pipeline in which a missing script cannot be loaded."""
    return (script_text("put"), 0, prefix, *posting.arguments())


def claim_command(who: Identity, claim: str, offer: Offer, suffixes: Sequence[str], prefix: str) -> tuple[str, ...]:
    """The EVALSHA command that claims; sent by the transport, which reads the answer when it comes."""
    looks: list[str] = []
    for queue in offer.queues:
        ceiling = vram_ceiling(queue)
        # A caller may have named the queue; and what was placed here when the memory was free may find it taken.
        checked = queue == who.worker or is_gpu(queue)
        looks += [queue, "1" if checked else "0", str(ceiling)]
    return (
        "EVALSHA",
        script_sha("claim"),
        "0",
        prefix,
        who.worker,
        who.consumer,
        claim,
        who.worker,
        f"{offer.rank:.10g}",
        str(offer.slots),
        str(offer.free),
        offer.token,
        str(len(suffixes)),
        *suffixes,
        *looks,
    )


def without_sha(command: Sequence[str]) -> tuple[str, ...]:
    """The same claim for a server that does not know the script (yet, or since its restart)."""
    return ("EVAL", script_text("claim"), *command[2:])


def ack(client: Client, worker: str, claim: str, outcome: Outcome, *, life: float, wake: str = "") -> bool:
    """Let go of a claim for good.

    Args:
        life: seconds for which the task's record is kept.
        wake: the consumer that sleeps although a slot is free now; "" for none.

    Returns:
        Whether the claim was still this worker's.
    """
    return bool(client.run("ack", *_ack_arguments(worker, claim, outcome, life, wake)))


def ack_command(worker: str, claim: str, outcome: Outcome, *, life: float, prefix: str) -> tuple[str | int, ...]:
    """What `ack` does as an EVALSHA command, for a server that knows the script."""
    return ("EVALSHA", script_sha("ack"), 0, prefix, *_ack_arguments(worker, claim, outcome, life, ""))


def _ack_arguments(worker: str, claim: str, outcome: Outcome, life: float, wake: str) -> list[str | int]:
    measured = [text for pair in outcome.measured.items() for text in pair]
    return [worker, claim, outcome.state, outcome.reason, int(life * 1000), wake, *measured]


def release(client: Client, worker: str, claims: Iterable[str]) -> int:
    """Put these claims back in front of their queues; returns how many there were."""
    return int(client.run("release", worker, "only", *claims))


def take_back(client: Client, who: Identity, process: str, known: Iterable[str]) -> int:
    """Put back the claims whose answers were lost on the way, and let no earlier consumer of this worker claim another.

    Args:
        who: the consumer that looks for the worker from now on.
        process: what the claim ids of this process begin with; those of others are none of its business.
        known: its claims that it knows of.

    Returns:
        How many there were.
    """
    return int(client.run("release", who.worker, "lost", process, who.consumer, *known))


def postpone(client: Client, worker: str, claim: str, delay: float) -> bool:
    """Let a claimed message wait `delay` seconds in Redis; returns whether the claim was still this worker's."""
    return bool(client.run("postpone", worker, claim, int(delay * 1000)))


def retire(client: Client, who: Identity, suffixes: Sequence[str]) -> int:
    """A consumer stops: what waits in its worker's own queue goes back; returns how many messages did."""
    return int(client.run("retire", who.consumer, who.worker, *suffixes))


def held_tasks(client: Client, worker: str) -> list[str]:
    """The ids of the tasks that a worker holds now."""
    return [bytes(held).decode().split("\n", 4)[3] for held in client.command("HVALS", CLAIMS + worker)]


def constrained_queues(client: Client) -> set[str]:
    """The queues that ask for a model, a node or a worker."""
    return {bytes(name).decode() for name in client.command("SMEMBERS", CONSTRAINED)}
