"""Celery's handlers get our form, an app's own ones keep theirs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
import structlog
from celery import Celery, signals
from celery.app.log import TaskFormatter
from celery.utils.log import ColorFormatter

import gridq
from gridq import config

URL = "redis://:correct-horse@db:6379/0"
STOCK = ColorFormatter("[%(levelname)s] %(message)s", use_color=False)


@pytest.fixture
def new_app() -> Iterator[Callable[..., Celery]]:
    """Makes apps with gridq; the last one is the current one, as a worker makes its own."""
    made: list[Celery] = []

    def make(log_format: str = "", **conf: Any) -> Celery:
        made.append(Celery("logs", broker=URL))
        made[-1].conf.update(conf)
        options = {"log_format": log_format} if log_format else {}
        return gridq.install(made[-1], config.load(environ={}, **options))

    yield make
    for app in made:
        app.close()
    structlog.reset_defaults()


def written(formatter: logging.Formatter, event: str, *, task_logger: bool = False) -> str:
    """What a handler with that formatter writes after Celery has set its logging up."""
    handler = logging.StreamHandler(stream := StringIO())
    handler.setFormatter(formatter)
    logger = logging.Logger("root")
    logger.addHandler(handler)
    signal = signals.after_setup_task_logger if task_logger else signals.after_setup_logger
    signal.send(sender=None, logger=logger, loglevel=20, logfile=None, format="", colorize=False)
    logger.warning(event)
    return stream.getvalue()


def test_celerys_handlers_write_our_form(new_app: Callable[..., Celery]) -> None:
    new_app(log_format="json").gridq_facts.bind(worker="cpu@node1", node="node1", gpus=[])
    for stock, task_logger in ((STOCK, False), (TaskFormatter("%(message)s"), True)):
        fields = json.loads(written(stock, "hello", task_logger=task_logger))
        assert (fields["event"], fields["worker"], fields["node"]) == ("hello", "cpu@node1", "node1")


def test_the_brokers_password_is_hidden_wherever_it_appears(new_app: Callable[..., Celery]) -> None:
    new_app()
    assert "AUTH *** failed" in written(STOCK, "AUTH correct-horse failed")


def test_an_apps_own_handler_keeps_its_form(new_app: Callable[..., Celery]) -> None:
    new_app(log_format="json")
    assert written(logging.Formatter("mine: %(message)s"), "hello") == "mine: hello\n"


def test_an_apps_own_format_is_kept_and_masked(new_app: Callable[..., Celery]) -> None:
    new_app(worker_log_format="[%(levelname)s] %(message)s")
    assert written(STOCK, URL) == "[WARNING] redis://:***@db:6379/0\n"


def test_a_log_format_that_was_asked_for_wins_over_celerys(new_app: Callable[..., Celery]) -> None:
    new_app(log_format="json", worker_log_format="[%(levelname)s] %(message)s")
    assert json.loads(written(STOCK, "hello"))["event"] == "hello"


def test_another_apps_worker_is_left_alone(new_app: Callable[..., Celery]) -> None:
    new_app(log_format="json")
    other = Celery("other")
    try:
        assert written(STOCK, "hello") == "[WARNING] hello\n"
    finally:
        other.close()
