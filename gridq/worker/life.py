"""Who is called when in a worker's life: Celery's signals, in the order in which they come."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery import signals

from gridq.broker.holder import Holder
from gridq.broker.router import queue_named
from gridq.config import Settings
from gridq.errors import GridqError
from gridq.gpu.watch import Watch
from gridq.placement.load import Weights
from gridq.store.claims import Offer
from gridq.worker import footprint
from gridq.worker.gate import Gate
from gridq.worker.place import Place, Wish, take_place

#: Exit status of a worker that could not start, as sysexits.h has it: EX_UNAVAILABLE.
UNAVAILABLE = 69


@dataclass(frozen=True, slots=True)
class Life:
    """What belongs to one running worker; its `WorkController` carries it as `gridq`."""

    settings: Settings
    place: Place
    watch: Watch | None
    gate: Gate
    holder: Holder


def connect_signals(app: Any, settings: Settings) -> None:
    """Call us when a worker of this app starts."""

    def before_anything(sender: str, instance: Any, conf: Any, options: Mapping[str, Any], **_: Any) -> None:
        if instance.app is app:
            _begin(instance, conf, options, settings)

    def before_consuming(sender: str, instance: Any, **_: Any) -> None:
        if instance.app is app:
            for queue in instance.gridq.place.queues:
                app.amqp.queues.select_add(queue_named(queue))

    signals.celeryd_init.connect(before_anything, weak=False)
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
        place = take_place(wish, settings, probe)
        watch = _watch(place, settings, probe)
    except GridqError as error:
        # Celery logs what a signal's receiver raises and goes on; a worker without its GPU must not.
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(UNAVAILABLE) from error
    worker.hostname = place.name
    if place.devices and not options.get("concurrency") and not conf.value_set_for("worker_concurrency"):
        conf.worker_concurrency = 1
    gate = Gate(place, watch, Weights(settings.cpu_weight, settings.gpu_weight))
    holder = _holder(place, gate, settings)
    worker.app.amqp.holder = holder
    worker.gridq = Life(settings, place, watch, gate, holder)
    footprint.follow(place, settings)


def _holder(place: Place, gate: Gate, settings: Settings) -> Holder:
    def offer(queues: Sequence[str], slots: int) -> Offer | None:
        return gate.offer(queues, slots, held=holder.held, found=holder.constrained)

    holder = Holder(place.name, offer, records_ttl=settings.records_ttl)
    return holder


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


def _queue_names(queues: Any) -> list[str]:
    names = queues.split(",") if isinstance(queues, str) else queues or []
    return [str(name).strip() for name in names]
