"""Flower for one app, from its start to its end."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flower.app import Flower, rewrite_handler
from flower.command import apply_env_options, extract_settings, setup_logging
from flower.options import options
from flower.urls import settings as flower_settings
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.web import url

from gridq.broker.connection import open_client
from gridq.errors import BrokerError, ConfigError
from gridq.flower.access import check_access
from gridq.flower.greeting import INTERVAL, Greeting
from gridq.flower.navigation import loader
from gridq.flower.pages import Gpus, LockedMetrics
from gridq.store import workers
from gridq.store.client import ServerError
from gridq.store.gpus import Row, gpu_rows

logger = logging.getLogger(__name__)

#: Milliseconds between two savings of the history. Each one keeps Flower busy for as long as it takes.
_SAVING = 300_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person asked for.

    Attributes:
        host: the address to listen on; None leaves it to the environment, and that to the loopback.
        port: 0 takes a free one; None leaves it to the environment, and that to 5555.
        credentials: `name:password` of each who may come in; empty leaves that to the environment.
        no_auth: whether everybody may.
        history: the file in which Flower keeps what it has seen.
    """

    host: str | None
    port: int | None
    credentials: tuple[str, ...]
    no_auth: bool
    history: Path


def configure(wishes: Wishes) -> None:
    """Set Flower's options: those of the environment (`FLOWER_…`) first, then what was asked for.

    Raises:
        ConfigError: when the environment is wrong, or others could come in without credentials.
    """
    try:
        apply_env_options()
    except (ValueError, KeyError) as error:
        raise ConfigError(
            f"environment: expected FLOWER_… variables as Flower takes them, got: {error}",
            hint="a Kubernetes Service named flower sets FLOWER_PORT: enableServiceLinks: false, or name it otherwise",
        ) from error
    options.address = wishes.host or options.address or "127.0.0.1"
    options.port = options.port if wishes.port is None else wishes.port
    options.persistent, options.db = True, str(wishes.history)
    options.state_save_interval = options.state_save_interval or _SAVING
    if wishes.credentials:
        options.basic_auth = list(wishes.credentials)
    locked = bool(options.basic_auth or options.auth) or wishes.no_auth
    check_access(options.address, locked=locked)


def build(app: Any) -> Any:
    """Flower for the app, as `configure` has set it, with our pages in it."""
    extract_settings()
    setup_logging()
    # It warns whenever no worker answers, which its pages say too.
    logging.getLogger("flower.inspector").setLevel(logging.ERROR)
    flower = Flower(capp=app, options=options, io_loop=IOLoop.current(), template_loader=loader(), **flower_settings)
    pages = [url(r"/gpus", Gpus, {"look": lambda: _look(app)}, name="gpus"), url(r"/metrics", LockedMetrics)]
    if options.url_prefix:
        pages = [rewrite_handler(page, options.url_prefix) for page in pages]
    # What is added later is asked first, so Flower's own open /metrics is never reached.
    flower.add_handlers(r".*", pages)
    return flower


def _look(app: Any) -> list[Row]:
    with closing(open_client(app)) as client:
        return gpu_rows(workers.living(client))


def serve(flower: Any, say: Callable[[str], None]) -> None:
    """Serve until a signal comes, then save the history.

    Args:
        flower: what `build` made.
        say: told the URL once somebody can go there.

    Raises:
        ConfigError: when the address cannot be listened on.
    """
    try:
        port = flower.start_http_server()
    except OSError as error:
        raise ConfigError(
            f"expected to listen on {options.address}:{options.port}, got: {error}", hint="--port takes another port"
        ) from error
    _stop_on_signals(flower.io_loop)
    PeriodicCallback(Greeting(flower).look, INTERVAL).start()
    flower.io_loop.add_callback(say, _url(port))
    try:
        flower.start()
    finally:
        flower.stop()
        _quiet(flower.capp)


def _stop_on_signals(io_loop: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup the end of the terminal is to be ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            io_loop.asyncio_loop.add_signal_handler(number, io_loop.stop)


def _url(port: int) -> str:
    scheme = "https" if "ssl_options" in flower_settings else "http"
    host = f"[{options.address}]" if ":" in options.address else options.address
    return f"{scheme}://{host}:{port}" + (f"/{options.url_prefix.strip('/')}" if options.url_prefix else "")


def _quiet(app: Any) -> None:
    """Workers need tell of their tasks no longer; another Flower asks again within seconds, -E stays as it is."""
    try:
        # Celery would try for ever to tell a broker that is away.
        with closing(open_client(app)):
            app.control.disable_events()
    except (ServerError, OSError, BrokerError) as error:
        logger.info("workers go on telling of their tasks: %s", error)
