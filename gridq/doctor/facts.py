"""Gathers what the checks look at, once: from Redis, from the app, from this machine. Judges nothing."""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from celery.app.defaults import NAMESPACES, flatten
from celery.backends.base import DisabledBackend

from gridq.application import REQUIRED
from gridq.broker.address import find_address
from gridq.config import Settings
from gridq.doctor.app import App
from gridq.doctor.broker import Broker
from gridq.doctor.fleet import Fleet
from gridq.doctor.machine import Folder, Machine
from gridq.errors import GridqError, ProbeError
from gridq.gpu.device import Device
from gridq.gpu.listing import list_devices
from gridq.private import objection
from gridq.store import dead, queues, server, workers
from gridq.store.client import Client
from gridq.store.workers import WorkerStatus
from gridq.urls import mask

_PINGS = 20
#: Seconds that the result backend and the driver get to answer.
_PATIENCE = 5.0
_DRIVER_PATIENCE = 10.0
_SIGNS_OF_A_DRIVER = (Path("/dev/nvidiactl"), Path("/proc/driver/nvidia/version"))


def of_broker(client: Client, settings: Settings, url: str) -> Broker:
    """What the broker says of itself."""
    local = find_address(settings.runtime_dir) == url
    return Broker(server.ask(client, pings=_PINGS), settings, mask(url), local)


def of_fleet(client: Client, settings: Settings) -> Fleet:
    """What workers and queues say."""
    living = workers.living(client)
    return Fleet(living, queues.look(client, living), dead.extent(client), settings, client.now())


def of_app(app: Any) -> App:
    """The app's settings, its tasks and its result backend."""
    # A module that prints would spoil the JSON.
    with redirect_stdout(sys.stderr):
        broken = _trouble(app.loader.import_default_modules)
    conf = app.conf
    names = [name for name, value in conf.items() if _is_setting(name, value)]
    late = [task for name, task in app.tasks.items() if not name.startswith("celery.")]
    early = sorted(task.name for task in late if conf.task_acks_late and not task.acks_late)
    # Where neither is said, `gridq up` brings both; that there is no broker is said already.
    bare = not (conf.broker_url or conf.result_backend)
    backend = None if bare or conf.task_always_eager else _backend(app)
    return App(conf, _known(), REQUIRED, names, early, broken, backend, bare)


def of_machine(settings: Settings, living: Sequence[WorkerStatus]) -> Machine:
    """What this machine has."""
    has_driver = any(sign.exists() for sign in _SIGNS_OF_A_DRIVER)
    devices, trouble = _devices(settings) if has_driver else ([], None)
    here = [worker for worker in living if worker.node == settings.node]
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        spec=settings.gpus,
        has_driver=has_driver,
        devices=devices,
        driver_trouble=trouble,
        can_check=any(find_spec(name) for name in ("cupy", "torch")),
        held=frozenset(gpu.device.uuid for worker in here for gpu in worker.gpus),
        has_workers=bool(here),
        files=_unlimited(files),
        files_most=_unlimited(most),
        runtime_dir=_private(settings.runtime_dir),
        lock_dir=_shared(settings.lock_dir),
    )


def _known() -> frozenset[str]:
    """Every name that Celery takes, those of former versions included, in small letters."""
    names = {"deprecated_settings"}
    for name, option in flatten(NAMESPACES):
        names |= {name, *(old.format(name.partition("_")[2]).lower() for old in option.old or ())}
    return frozenset(names)


def _is_setting(name: str, value: Any) -> bool:
    """Whether it may be meant as a setting: a module of settings brings along what it imports."""
    return not name.startswith("_") and not isinstance(value, ModuleType | type) and not callable(value)


def _backend(app: Any) -> str | None:
    """Why results cannot be stored; None where they can, or where the backend is not one that can be asked."""

    def ask() -> None:
        backend = app.backend
        if isinstance(backend, DisabledBackend):
            raise GridqError("there is no result backend: callers learn neither of results nor of losses")
        if hasattr(backend, "client") and hasattr(backend.client, "ping"):
            backend.client.ping()

    return _within(_PATIENCE, ask)


def _within(seconds: float, call: Callable[[], object]) -> str | None:
    """What goes wrong in the call, or that it does not end in time; None where it ends well."""
    said: list[str | None] = []
    # A daemon, so that a server that never answers does not keep the command from ending.
    thread = threading.Thread(target=lambda: said.append(_trouble(call)), daemon=True)
    thread.start()
    thread.join(seconds)
    return said[0] if said else f"no answer within {seconds:g}s"


def _trouble(call: Callable[[], object]) -> str | None:
    try:
        call()
    except GridqError as error:
        return error.message
    except Exception as error:  # noqa: BLE001 (modules of tasks, and backends, raise whatever they like)
        return mask(f"{type(error).__name__}: {error}")
    return None


def _devices(settings: Settings) -> tuple[list[Device], tuple[str, str] | None]:
    try:
        return list_devices("nvml", settings.runtime_dir / "sim", deadline=_DRIVER_PATIENCE), None
    except ProbeError as error:
        return [], (error.message, error.hint or "see whether nvidia-smi works")


def _unlimited(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def _private(path: Path) -> Folder:
    there = _there(path)
    trouble = objection(path) if there == path else _unwritable(there)
    status = os.statvfs(there)
    return Folder(path, trouble, status.f_bavail * status.f_frsize)


def _shared(path: Path) -> Folder:
    return Folder(path, _unwritable(_there(path)))


def _there(path: Path) -> Path:
    """The path, or the first of its parents that exists: it is made when it is needed."""
    return next(each for each in (path, *path.parents) if each.exists())


def _unwritable(path: Path) -> str | None:
    if not path.is_dir():
        return f"{path} is no directory"
    return None if os.access(path, os.W_OK | os.X_OK) else f"{path} is not writable for this user"
