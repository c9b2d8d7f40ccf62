"""gridq and stock Celery behind one face, so that the same scenario is played on both."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Celery

from gridq.queues import GPU

from . import tasks

REPOSITORY = Path(__file__).parents[2]
#: Seconds: kombu looks for messages to redeliver this often where a scenario lowers the visibility timeout.
RESTORE_INTERVAL = 1


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach Redis.

    Attributes:
        broker: URL of the messages.
        results: URL of the results.
        configuration: what Celery needs besides: TLS, Sentinel.
    """

    broker: str
    results: str
    configuration: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """What the processes of one stage are told.

    Attributes:
        access: how to reach Redis.
        folder: for locks, simulated GPUs and the ledger.
        lease: of gridq's workers, seconds.
        heartbeat: of gridq's workers, seconds.
        visibility: stock Celery's visibility timeout in seconds; None for its default, an hour.
        gpus: how many simulated GPUs a node has.
    """

    access: Access
    folder: Path
    lease: float
    heartbeat: float
    visibility: float | None
    gpus: int

    @property
    def ledger(self) -> Path:
        """Where the tasks write."""
        return self.folder / "ledger"


class Side(ABC):
    """One of the two."""

    name: str
    #: The queue that the tasks wait in.
    queue: str

    @abstractmethod
    def environment(self, setting: Setting, node: str) -> dict[str, str]:
        """What a process of this side needs in its environment."""

    @abstractmethod
    def worker(self, number: int, node: str) -> list[str]:
        """The arguments of a worker, after `celery -A …`."""

    @abstractmethod
    def remains(self, client: Any, prefix: str) -> str:
        """All messages that the broker still has, wherever, as one text."""

    def app(self, setting: Setting) -> Celery:
        """An app to send tasks with."""
        app = tasks.build(self.environment(setting, "client"), set_as_current=False)
        # The harness asks for states and waits for no messages about them, whose connections would break as well.
        app.conf.result_backend_thread_safe = True
        app.backend.on_task_call = lambda *_, **__: None
        return app

    def plan(self, setting: Setting, extra: Mapping[str, Any]) -> dict[str, str]:
        """The variable that says how the app is built."""
        access = setting.access
        configuration = {
            "broker_url": access.broker,
            "result_backend": access.results,
            "broker_connection_retry_on_startup": True,
            **access.configuration,
            **extra,
        }
        plan = {"side": self.name, "configuration": configuration, "ledger": str(setting.ledger)}
        return {tasks.PLAN: json.dumps(plan), "PYTHONPATH": f"{REPOSITORY / 'tests'}:{REPOSITORY}"}


class Gridq(Side):
    """gridq: one worker per simulated GPU."""

    name = "gridq"
    queue = GPU

    def environment(self, setting: Setting, node: str) -> dict[str, str]:
        own = {
            "GRIDQ_RUNTIME_DIR": str(setting.folder / f"run-{node}"),
            "GRIDQ_GPUS": f"sim:{setting.gpus}x24GiB",
            "GRIDQ_NODE": node,
            "GRIDQ_LEASE": f"{setting.lease}s",
            "GRIDQ_HEARTBEAT": f"{setting.heartbeat}s",
            "GRIDQ_PROBE_INTERVAL": "0.25s",
            "GRIDQ_PROBE_DEADLINE": "1s",
        }
        return self.plan(setting, {}) | own

    def worker(self, number: int, node: str) -> list[str]:
        return ["-Q", self.queue, "--gpu", str(number)]

    def remains(self, client: Any, prefix: str) -> str:
        texts = _lists(client, prefix + self.queue, prefix + "gpu*@*")
        for key in (*client.scan_iter(f"{prefix}gridq:claims:*"), f"{prefix}gridq:delayed:messages"):
            texts += client.hvals(key)
        texts += client.hvals(f"{prefix}gridq:dead:messages")
        return b"\n".join(texts).decode("utf-8", "replace")


class Stock(Side):
    """Stock Celery, set up for not losing tasks: late acks, a dead child's task goes back, nothing is prefetched."""

    name = "stock"
    queue = "celery"

    def environment(self, setting: Setting, node: str) -> dict[str, str]:
        options = dict(setting.access.configuration.get("broker_transport_options") or {})
        if setting.visibility is not None:
            options |= {
                "visibility_timeout": setting.visibility,
                "unacked_restore_interval": RESTORE_INTERVAL,
                "unacked_restore_throttle": 1,
            }
        extra = {
            "task_acks_late": True,
            "task_reject_on_worker_lost": True,
            "worker_prefetch_multiplier": 1,
            "broker_transport_options": options,
        }
        return self.plan(setting, extra)

    def worker(self, number: int, node: str) -> list[str]:
        return ["-Q", self.queue, "-c", "1", "-n", f"worker{number}@{node}"]

    def remains(self, client: Any, prefix: str) -> str:
        texts = _lists(client, prefix + self.queue) + client.hvals(f"{prefix}unacked")
        return b"\n".join(texts).decode("utf-8", "replace")


def _lists(client: Any, *patterns: str) -> list[bytes]:
    """All messages of the lists of these names, with whatever suffix."""
    found: list[bytes] = []
    for pattern in patterns:
        for key in client.scan_iter(pattern + "*"):
            if client.type(key) == b"list":
                found += client.lrange(key, 0, -1)
    return found


SIDES: dict[str, Side] = {side.name: side for side in (Gridq(), Stock())}
#: The interpreter's own Celery, so that both sides are the same package.
CELERY = [sys.executable, "-m", "celery", "-A", "chaos.tasks", "worker", "-l", "INFO"]
#: Mingling waits a second for other workers' answers, which matters to revokes only.
QUIET = ["--without-mingle", "--without-gossip"]
