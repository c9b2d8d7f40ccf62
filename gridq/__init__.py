"""gridq: Celery on Redis, made to understand GPUs.

    from gridq import app

    @app.task(gpu=True, vram="12GiB")
    def train(dataset): ...

    train.delay("mnist")

The house, from the ground up (imports point down only):

    version, errors      which gridq this is, and what went wrong
    units, urls          8GiB and 15s, and addresses without their passwords
    printable            text that cannot control a terminal
    reporter             how far a task is, told by the task
    private, credentials directories and files that nobody else may enter or read
    knobs, config        typed settings; config is the only reader of the environment
    needs, queues        what a task asks for, and where it waits
    gpu/                 what the hardware says
    store/               what the cluster remembers: the only door to Redis
    placement/           which GPU
    logs/                what is said, and how it is written
    broker/              how messages move
    worker/              what runs inside a Celery worker
    task, application    what an app is made of
    exporter/            what Prometheus sees
    flower/              what Flower shows of GPUs
    doctor/              what is wrong or risky
    cli/                 what people type
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gridq.version import VERSION as __version__

if TYPE_CHECKING:
    from celery import Celery

    from gridq.application import install as install
    from gridq.reporter import progress as progress
    from gridq.reporter import track as track
    from gridq.task import GpuTask as GpuTask

    app: Celery

__all__ = ["GpuTask", "__version__", "app", "install", "progress", "track"]


def __getattr__(name: str) -> Any:
    """Importing gridq imports neither Celery nor Redis; what needs them comes when it is asked for."""
    if name == "app":
        from gridq.application import build

        value: Any = build()
    elif name == "install":
        from gridq.application import install as value
    elif name == "GpuTask":
        from gridq.task import GpuTask as value
    elif name in ("progress", "track"):
        from gridq import reporter

        value = getattr(reporter, name)
    else:
        raise AttributeError(f"module 'gridq' has no attribute {name!r}")
    globals()[name] = value
    return value
