"""Who is called when in a worker's life: Celery's signals, in the order in which they come."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import signals
from celery.concurrency.prefork import TaskPool as Prefork

from gridq.broker.address import no_broker
from gridq.broker.holder import Holder, Keeping
from gridq.broker.posting import suffixes
from gridq.broker.router import queue_named
from gridq.config import Settings
from gridq.errors import ConfigError, GridqError, InstallError, NoGpuError
from gridq.gpu.ward import Ward
from gridq.gpu.watch import Watch
from gridq.logs.complaint import complain
from gridq.placement.load import Weights
from gridq.store.claims import Offer
from gridq.store.leases import Terms
from gridq.worker import cuda, failure, footprint, inspection, printing, stale
from gridq.worker.desk import Desk
from gridq.worker.drain import Drain
from gridq.worker.gate import Gate
from gridq.worker.lease import Lease
from gridq.worker.place import Place, Wish, take_place
from gridq.worker.stale import Stale
from gridq.worker.tally import Tally

logger = logging.getLogger(__name__)

#: Exit status of a worker that could not start, as sysexits.h has it: EX_UNAVAILABLE.
UNAVAILABLE = 69


@dataclass(frozen=True, slots=True)
class Life:
    """What belongs to one running worker; its `WorkController` carries it as `gridq`."""

    settings: Settings
    place: Place
    watch: Watch | None
    ward: Ward | None
    gate: Gate
    holder: Holder
    lease: Lease
    drain: Drain
    tally: Tally
    desk: Desk | None
    stale: Stale


def connect_signals(app: Any, settings: Settings, base: type) -> None:
    """Call us when a worker of this app starts; its tasks must be of the base class."""
    main = 0

    def before_imports(sender: Any, **_: Any) -> None:
        # Then `torch.cuda.is_available()`, which many task modules ask at their top, does not begin to use CUDA.
        if sender is app:
            os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

    def before_anything(sender: str, instance: Any, conf: Any, options: Mapping[str, Any], **_: Any) -> None:
        nonlocal main
        if instance.app is app:
            main = os.getpid()
            _begin(instance, conf, options, settings)

    def before_consuming(sender: str, instance: Any, **_: Any) -> None:
        if instance.app is app:
            _check_tasks(instance, settings, base)
            _check_cuda(instance, settings)
            place, queues = instance.gridq.place, app.amqp.queues
            # `-Q gpu` names the queue of tasks for one GPU, whatever the worker holds.
            queues.deselect([queue for queue in queues.consume_from if place.declines(queue)])
            for queue in place.queues:
                queues.select_add(queue_named(queue))

    def before_tasks(**_: Any) -> None:
        # A group of its own for each child, so that it can be ended together with all that it starts. Pools without
        # children call this in the worker itself, which then would no longer hear its terminal's Ctrl-C.
        if os.getpid() != main:
            os.setpgid(0, 0)

    signals.import_modules.connect(before_imports, weak=False)
    signals.celeryd_init.connect(before_anything, weak=False)
    signals.worker_process_init.connect(before_tasks, weak=False)
    signals.celeryd_after_setup.connect(before_consuming, weak=False)


def _begin(worker: Any, conf: Any, options: Mapping[str, Any], settings: Settings) -> None:
    """Take a place, name the worker after it and set its slots, before any child exists."""
    probe = options.get("probe") or settings.gpus
    name, default = worker.hostname, worker.hostname.startswith("celery@")
    wish = Wish(
        queues=_queue_names(options.get("queues")),
        name=None if default else name,
        gpu=options.get("gpu"),
        gpus=options.get("gpu_count") or 1,
    )
    try:
        if not conf.broker_read_url:
            raise no_broker()
        place = take_place(wish, settings, probe)
        watch = _watch(place, settings, probe)
    except GridqError as error:
        # Celery logs what a signal's receiver raises and goes on; a worker without its GPU must not.
        complain(error, settings.log_format)
        raise SystemExit(UNAVAILABLE) from error
    worker.hostname = place.name
    worker.app.gridq_facts.bind(worker=place.name, node=place.node, gpus=[device.uuid for device in place.devices])
    # Its banner is a page for people.
    worker.quiet = worker.quiet or settings.log_format == "json"
    if place.devices and not options.get("concurrency") and not conf.value_set_for("worker_concurrency"):
        conf.worker_concurrency = 1
    if not conf.value_set_for("result_backend_always_retry"):
        # Else Celery calls a task failed whose result cannot be stored at once. How long it may try, the lease says.
        conf.update(result_backend_always_retry=True, result_backend_max_sleep_between_retries_ms=1000)
    ward = _ward(place, watch, settings)
    gate = Gate(place, ward, Weights(settings.cpu_weight, settings.gpu_weight))
    holder = _holder(worker.app, place, gate, settings)
    worker.app.amqp.holder = holder
    terms = Terms(settings.lease, settings.max_attempts, suffixes(worker.app))
    lease = Lease(place.name, Path(place.name_lock.name), terms, place.node)
    worker.app.gridq_lease = lease
    holder.token = lambda: lease.claimant.token
    desk = _desk(place, settings)
    worker.app.gridq_stale = Stale(desk.broken if desk else None)
    drain = Drain(gate, holder)
    worker.gridq = Life(settings, place, watch, ward, gate, holder, lease, drain, Tally(), desk, worker.app.gridq_stale)
    footprint.follow(place, settings)
    if place.devices:
        failure.follow()
    if desk is None:
        return
    if place.devices:
        # Before a child begins to keep what a task prints, which it may not run.
        stale.follow(desk.broken)
    printing.follow(desk, settings)


def _check_tasks(worker: Any, settings: Settings, base: type) -> None:
    """What a task of another class did is not known to us: after a loss it would run twice."""
    others = sorted(name for name, task in worker.app.tasks.items() if not isinstance(task, base))
    if others:
        complain(
            InstallError(
                f"expected tasks whose class is a gridq.{base.__name__}, got {', '.join(others)}",
                hint=f"where it says base=…: class MyTask(gridq.{base.__name__}): …",
            ),
            settings.log_format,
        )
        raise SystemExit(UNAVAILABLE)


def _check_cuda(worker: Any, settings: Settings) -> None:
    """By now the task modules are imported, and no child is forked."""
    if worker.gridq.place.devices and issubclass(worker.pool_cls, Prefork) and cuda.in_use():
        complain(
            NoGpuError(
                "expected a main process that has not begun to use CUDA, since no child of it could then;"
                " importing the task modules did that",
                hint="ask for the GPU inside the tasks, and not at the top of a module; or use -P solo",
            ),
            settings.log_format,
        )
        raise SystemExit(UNAVAILABLE)


def _holder(app: Any, place: Place, gate: Gate, settings: Settings) -> Holder:
    def offer(queues: Sequence[str], slots: int) -> Offer | None:
        return gate.offer(queues, slots, held=holder.running, found=holder.constrained)

    def objection(payload: dict[str, Any]) -> str | None:
        return inspection.objection(app, payload)

    keeping = Keeping(records_ttl=settings.records_ttl, limit=settings.max_attempts)
    holder = Holder(place.name, offer, objection, keeping)
    return holder


def _desk(place: Place, settings: Settings) -> Desk | None:
    try:
        return Desk.of(settings.runtime_dir, place.name)
    except (ConfigError, OSError) as error:
        # A worker that runs its tasks and says nothing of them is better than none.
        logger.warning("what tasks print and report is not kept: %s", error)
        return None


def _watch(place: Place, settings: Settings, probe: str) -> Watch | None:
    if not place.devices:
        return None
    return Watch(
        probe,
        [device.uuid for device in place.devices],
        interval=settings.probe_interval,
        deadline=settings.probe_deadline,
        state_dir=settings.runtime_dir / "sim",
    )


def _ward(place: Place, watch: Watch | None, settings: Settings) -> Ward | None:
    if watch is None:
        return None
    return Ward(
        watch,
        [device.uuid for device in place.devices],
        recovery=settings.recovery,
        patience=settings.probe_deadline,
        state_dir=settings.runtime_dir / "sim",
    )


def _queue_names(queues: Any) -> list[str]:
    names = queues.split(",") if isinstance(queues, str) else queues or []
    return [str(name).strip() for name in names]
