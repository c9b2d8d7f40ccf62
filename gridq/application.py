"""The composition root: settings become a Celery app that knows GPUs.

(Not called app.py: importing a module `gridq.app` would hide the app `gridq.app` that people import.)
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import click
from celery import Celery
from celery.app.defaults import NAMESPACES, flatten
from kombu.utils.url import parse_ssl_cert_reqs

from gridq import config
from gridq.broker.address import find_address
from gridq.broker.connection import AMQP, open_client
from gridq.broker.control import Control
from gridq.broker.fleet import Fleet
from gridq.broker.results import BACKENDS
from gridq.broker.router import Router, parents_priority
from gridq.config import Settings
from gridq.errors import ConfigError, InstallError
from gridq.logs.hooks import connect_logs
from gridq.queues import CPU, EXCHANGE
from gridq.task import GpuTask
from gridq.urls import default_backend, is_sentinel, with_certificates, with_password, without_tls
from gridq.worker.life import connect_signals
from gridq.worker.steps import CONSUMER_STEPS, WORKER_STEPS

#: What gridq's promises stand on; set whatever the app says.
REQUIRED = {
    # A worker claims only what it can start now.
    "worker_prefetch_multiplier": 1,
    # What runs is counted by the holder, also after a reconnect; Celery's own counting would come on top.
    "worker_enable_prefetch_count_reduction": False,
    # A lost connection does not end a task; a lost lease does.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # The result of a lost worker stands: gridq looks for it, and goes on where Celery would leave a chord uncounted.
    "worker_deduplicate_successful_tasks": False,
}

#: The settings of Celery that say where a Redis is.
URLS = ("broker_url", "broker_read_url", "broker_write_url", "result_backend")

#: What most apps want; an app's own settings win.
DEFAULTS = {
    "task_acks_late": True,
    "task_default_queue": CPU,
    "task_default_exchange": EXCHANGE,
    "task_default_routing_key": CPU,
    "broker_connection_retry_on_startup": True,
}


def build(settings: Settings | None = None) -> Celery:
    """The packaged app, `gridq.app`: its tasks are in the modules that the settings name."""
    settings = settings or config.load()
    app = Celery("gridq", include=list(settings.tasks))
    install(app, settings)
    return app


def install(app: Celery, settings: Settings | None = None) -> Celery:
    """Make a Celery app of one's own GPU-aware. Call it right after creating the app.

    Args:
        app: the app; its own configuration wins over gridq's wherever gridq's promises do not depend on it.
        settings: by default those of gridq.yaml and the environment.

    Returns:
        The same app.

    Raises:
        InstallError: when the app has been used already, or has a task class that is no GpuTask.
        ConfigError: for wrong settings.
    """
    settings = settings or config.load()
    _check_unused(app)
    _check_names()
    _check_variables(settings)
    app.gridq_settings = settings
    app.amqp_cls = AMQP
    app.control_cls = Control if app.control_cls == Celery.control_cls else app.control_cls
    app.task_cls = GpuTask if app.task_cls == Celery.task_cls else app.task_cls
    app.user_options["worker"].update(_worker_options())
    app.steps["worker"].update(WORKER_STEPS)
    app.steps["consumer"].update(CONSUMER_STEPS)
    connect_signals(app, settings, GpuTask)
    app.gridq_facts = connect_logs(app, settings)
    if app.configured:
        _configure(app, settings)
    else:
        app.on_after_configure.connect(_on_configured(app, settings), weak=False)
    return app


def _check_unused(app: Celery) -> None:
    if hasattr(app, "gridq_settings"):
        raise InstallError("gridq.install(app) was called twice on the same app")
    used = [name for name in ("amqp", "control", "Task") if name in vars(app)]
    if used:
        raise InstallError(
            f"gridq.install(app) came too late: the app has already made its {' and '.join(used)}",
            hint="call it right after Celery(...), before tasks are called",
        )
    task_class = app.task_cls
    if task_class != Celery.task_cls and not (isinstance(task_class, type) and issubclass(task_class, GpuTask)):
        raise InstallError(
            f"expected the app's task_cls to be a gridq.GpuTask, got {task_class!r}",
            hint="class MyTask(gridq.GpuTask): …",
        )


def _check_names() -> None:
    """Celery takes any setting and ignores what it does not know: a typo of ours would go unnoticed."""
    known = {name for name, _ in flatten(NAMESPACES)}
    unknown = (REQUIRED.keys() | DEFAULTS.keys()) - known
    if unknown:
        raise InstallError(f"this Celery does not know the settings {sorted(unknown)}", hint="pip install -U celery")


def _check_variables(settings: Settings) -> None:
    """Celery takes its own variables as they are, whatever is set: a URL there would stay without the password.

    Looked at here, since Celery logs what goes wrong while an app is configured, and goes on.
    """
    password = settings.broker_password()
    for variable in (f"CELERY_{name.upper()}" for name in URLS):
        url = os.environ.get(variable, "")
        if password is not None and with_password(url, password) != url:
            raise ConfigError(
                f"expected {variable} to be unset where broker_password_file is set, since it goes before all settings",
                hint=f"set GRIDQ_{variable.removeprefix('CELERY_')} in its place",
            )


def _on_configured(app: Celery, settings: Settings) -> Callable[..., None]:
    def configured(**_: Any) -> None:
        _configure(app, settings)

    return configured


def _configure(app: Celery, settings: Settings) -> None:
    conf = app.conf
    conf.update({name: value for name, value in DEFAULTS.items() if not conf.value_set_for(name)})
    conf.update(REQUIRED)
    app.loader.override_backends = BACKENDS | dict(app.loader.override_backends)
    if not conf.value_set_for("task_publish_retry_policy"):
        conf.task_publish_retry_policy = _publish_policy()
    _set_urls(conf, settings)
    _set_transport_options(conf, settings)
    _set_sentinels(conf, settings)
    fleet = Fleet(lambda: open_client(app), max_age=settings.snapshot_age)
    conf.task_routes = (Router(settings, fleet, lambda: parents_priority(app)), *_routes(conf.task_routes))


def _set_urls(conf: Any, settings: Settings) -> None:
    """Where the broker and the results are, under what the app says; with the password where they have none."""
    broker = settings.broker_url or find_address(settings.runtime_dir)
    if broker and not conf.broker_url:
        conf.broker_url = broker
    if conf.broker_url and not conf.result_backend:
        own = settings.result_backend
        conf.result_backend = with_certificates(own) if own else default_backend(conf.broker_url)
    password = settings.broker_password()
    if password is None:
        return
    for name in URLS:
        url = getattr(conf, name)
        if url and (completed := _completed(url, password)) != url:
            conf[name] = completed


def _completed(url: Any, password: str) -> Any:
    """The URL, or the list of them that Celery takes as well, with the password."""
    return with_password(url, password) if isinstance(url, str) else [with_password(one, password) for one in url]


def _set_transport_options(conf: Any, settings: Settings) -> None:
    """Options for kombu and for the result backend, under those of the app."""
    shared = {"master_name": settings.sentinel_master} if settings.sentinel_master else {}
    broker = {
        # A connection whose other end is gone is noticed within a heartbeat or two, not when TCP gives up.
        "socket_timeout": settings.lease / 2,
        "socket_connect_timeout": settings.lease / 2,
        "socket_keepalive": True,
        "health_check_interval": max(1, int(settings.heartbeat)),
        "confirm": settings.confirm,
        "confirm_timeout": settings.confirm_timeout,
    }
    conf.broker_transport_options = shared | broker | dict(conf.broker_transport_options or {})
    conf.result_backend_transport_options = shared | dict(conf.result_backend_transport_options or {})


def _set_sentinels(conf: Any, settings: Settings) -> None:
    """What sentinels' URLs say of TLS, for the servers that they name and for the sentinels themselves, and how long
    these may take. Each new connection asks them in their order: where the first one's host has lost its power, and
    refuses nothing, all connections of a worker must be there again before its lease ends. So none is asked twice."""
    pauses = {"socket_timeout": settings.heartbeat, "socket_connect_timeout": settings.heartbeat / 4, "retry": None}
    for url, tls, options in (
        ("broker_url", "broker_use_ssl", "broker_transport_options"),
        ("result_backend", "redis_backend_use_ssl", "result_backend_transport_options"),
    ):
        address = getattr(conf, url)
        if not isinstance(address, str) or not is_sentinel(address):
            continue
        bare, words = without_tls(address)
        asked: dict[str, Any] = dict(pauses)
        if words:
            wanted: dict[str, Any] = {"ssl_cert_reqs": "required"} | words
            if "ssl_check_hostname" in wanted:
                wanted["ssl_check_hostname"] = wanted["ssl_check_hostname"].lower() in ("true", "1", "yes")
            conf[url] = bare
            asked |= {"ssl": True} | wanted
            # A number, since settings are sent as JSON where somebody inspects a worker.
            conf[tls] = conf[tls] or wanted | {"ssl_cert_reqs": int(parse_ssl_cert_reqs(wanted["ssl_cert_reqs"]))}
        conf[options] = {"sentinel_kwargs": asked} | dict(conf[options])


def _publish_policy() -> dict[str, float]:
    """While Redis is away a publish is tried again for about 20 s, longer than a failover takes; then the caller gets
    an error. The pauses differ from process to process, so that publishers do not all come back in one moment."""
    jitter = random.uniform(0.7, 1.3)  # nosec B311 # pauses, no secrets
    return {"max_retries": 10, "interval_start": 0.1 * jitter, "interval_step": 0.4 * jitter, "interval_max": 4}


def _routes(routes: Any) -> tuple[Any, ...]:
    """The app's own routes as a sequence; Celery takes one, or several."""
    if routes is None:
        return ()
    return tuple(routes) if isinstance(routes, list | tuple) else (routes,)


def _worker_options() -> list[click.Option]:
    return [
        click.Option(
            ["--gpu"],
            help="gridq: take this GPU, by index or UUID, instead of the first free one.",
        ),
        click.Option(
            ["--gpus", "gpu_count"],
            type=click.IntRange(1, 64),
            default=1,
            show_default=True,
            help="gridq: take this many GPUs, for tasks that ask for gpus=N.",
        ),
        click.Option(
            ["--probe"],
            help="gridq: which GPUs there are, as in the setting `gpus`: auto, nvml, or simulated ones (sim:4x24GiB).",
        ),
    ]
