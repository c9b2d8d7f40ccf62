"""How a worker's records come to be written in gridq's form: Celery sets its logging up, then asks us.

Only the form of Celery's own handlers changes. What an app does with its logging, a handler or a format of its own or
`setup_logging`, stays as it is; a format of its own has its secrets masked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import signals
from celery._state import get_current_app
from celery.app.log import TaskFormatter
from celery.utils.log import ColorFormatter, get_multiprocessing_logger

from gridq.config import Settings
from gridq.logs.facts import Facts

_OWN_FORMATS = ("worker_log_format", "worker_task_log_format")


def connect_logs(app: Any, settings: Settings) -> Facts:
    """From now on the logs of this app's workers are in gridq's form.

    Returns:
        Who speaks in them, to be bound once that is known.
    """
    facts = Facts()

    def set_up(logger: logging.Logger, colorize: Any, **_: Any) -> None:
        # Celery does not say of which app they are; its worker has made its own the current one.
        if get_current_app() is app:
            write = _writer(app, settings, facts, colors=bool(colorize))
            for one in (logger, get_multiprocessing_logger()):
                _reform(one, write)

    def in_child(**_: Any) -> None:
        if get_current_app() is app:
            facts.follow_tasks()

    signals.after_setup_logger.connect(set_up, weak=False)
    signals.after_setup_task_logger.connect(set_up, weak=False)
    signals.worker_process_init.connect(in_child, weak=False)
    return facts


def _writer(app: Any, settings: Settings, facts: Facts, *, colors: bool) -> Callable[[Any], logging.Formatter]:
    """What makes the formatter that comes in the place of one of Celery's."""
    # Here and not above: most processes that have an app publish tasks, and need not wait for this at their start.
    from gridq.logs.line import Masked, adopt_structlog, formatter
    from gridq.logs.mask import Mask

    mask = Mask.of(app.conf)
    if "log_format" not in settings.sources and any(map(app.conf.value_set_for, _OWN_FORMATS)):
        return lambda stock: Masked(stock, mask)
    adopt_structlog()
    ours = formatter(settings.log_format, facts.now, mask, colors=colors)
    return lambda stock: ours


def _reform(logger: logging.Logger, write: Callable[[Any], logging.Formatter]) -> None:
    for handler in logger.handlers:
        # A handler with another formatter is the app's own.
        if type(handler.formatter) in (ColorFormatter, TaskFormatter):
            handler.setFormatter(write(handler.formatter))
