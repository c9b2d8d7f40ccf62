"""Claims without workers: messages as kombu writes them, and consumers that look when they are told to."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gridq.needs import Needs
from gridq.queues import queue_for
from gridq.store import claims, leases, tasks
from gridq.store.claims import Identity, Offer, Outcome, Posting
from gridq.store.client import Client, NoScriptError
from gridq.store.keys import PRIORITY_SEPARATOR
from gridq.store.leases import Claimant, Terms
from gridq.units import GIB

DONE = Outcome()
SUFFIXES = ("", f"{PRIORITY_SEPARATOR}3", f"{PRIORITY_SEPARATOR}6", f"{PRIORITY_SEPARATOR}9")

#: Long enough for any test.
TERMS = Terms(lease=3600, limit=3, suffixes=SUFFIXES)


def message(task_id: str, queue: str, vram: int = 0, **headers: Any) -> str:
    """A task as kombu writes it; `vram` in GiB, without gridq's header when 0."""
    needs = {"gridq": {"gpu": True, "vram": vram * GIB}} if vram else {}
    return json.dumps(
        {
            "body": "W1tdLCB7fSwge31d",
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"lang": "py", "task": "shop.work", "id": task_id, **needs, **headers},
            "properties": {
                "correlation_id": task_id,
                "delivery_info": {"exchange": "gridq", "routing_key": queue},
                "delivery_tag": str(uuid.uuid4()),
                "body_encoding": "base64",
            },
        }
    )


@dataclass
class Consumer:
    """One worker with one channel.

    Attributes:
        free: GiB.
    """

    client: Client
    worker: str
    queues: Sequence[str]
    free: int = 24
    rank: float = 24.0
    slots: int = 1
    serial: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.identity = Identity(self.worker, f"{self.worker}:{uuid.uuid4().hex[:8]}")
        leases.register(self.client, Claimant(self.worker, uuid.uuid4().hex, lock=self.worker), TERMS)

    def look(self, claim: str | None = None, queues: Sequence[str] | None = None) -> tuple[str, str, str] | None:
        """Look for a task: (claim, queue, task id), or None and then it is ready."""
        claim = claim or f"{self.identity.consumer}-{next(self.serial)}"
        offer = Offer([self.worker, *(queues or self.queues)], self.slots, self.free * GIB, self.rank)
        reply = self.ask(claim, offer)
        if not reply[0]:
            self.due_ms = int(reply[1])
            return None
        return claim, reply[0].decode(), json.loads(reply[1])["headers"]["id"]

    def ask(self, claim: str, offer: Offer) -> Any:
        """The script's answer as it is."""
        command = claims.claim_command(self.identity, claim, offer, SUFFIXES, self.client.prefix)
        try:
            return self.client.redis.execute_command(*command)
        except NoScriptError:
            return self.client.redis.execute_command(*claims.without_sha(command))

    def ack(self, claim: str, outcome: Outcome = DONE, wake: str = "") -> bool:
        """Let go of a claim for good."""
        return claims.ack(self.client, self.worker, claim, outcome, life=60, wake=wake)

    @property
    def wakes(self) -> int:
        """How many tokens lie in its wake list."""
        return int(self.client.command("LLEN", f"gridq:wake:{self.identity.consumer}"))


@dataclass
class Lane:
    """A broker, and what is put on it."""

    client: Client

    def put(self, vram: int = 8, *, to: Sequence[str] = (), step: int = 0, delay: float = 0, task_id: str = "") -> str:
        """Publish a task that needs `vram` GiB, to be placed on one of the workers `to`; returns its id."""
        task_id = task_id or str(uuid.uuid4())
        queue = queue_for(Needs(gpu=True, vram=vram * GIB))
        raw = message(task_id, queue, vram)
        suffix = f"{PRIORITY_SEPARATOR}{step}" if step else ""
        delivery = str(uuid.uuid4())
        facts = {"name": "shop.work"}
        posting = Posting(raw, queue, suffix, vram * GIB, list(to), delay, delivery, False, task_id, facts)
        self.went_to = claims.put(self.client, posting)
        return task_id

    def push(self, queue: str, vram: int = 0, task_id: str = "") -> str:
        """LPUSH a message as a producer without gridq does; returns its id."""
        task_id = task_id or str(uuid.uuid4())
        self.client.command("LPUSH", queue, message(task_id, queue, vram))
        return task_id

    def consumer(self, worker: str, **facts: Any) -> Consumer:
        """A worker on `gpu.8g`, `gpu.24g` and `gpu`, or the queues given."""
        return Consumer(self.client, worker, **{"queues": ("gpu.24g", "gpu.8g", "gpu"), **facts})

    def record(self, task_id: str) -> tasks.TaskRecord:
        """The record of a task."""
        found = tasks.find(self.client, task_id)
        assert found is not None
        return found

    def claims(self, worker: str) -> int:
        """How many claims the worker holds."""
        return int(self.client.command("HLEN", f"gridq:claims:{worker}"))

    def length(self, queue: str, step: int = 0) -> int:
        """How many messages wait in the queue."""
        return int(self.client.command("LLEN", queue + (f"{PRIORITY_SEPARATOR}{step}" if step else "")))
