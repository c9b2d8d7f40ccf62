"""How a record is written: its fields in one order, secrets masked, as a line for people or as JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter, LogLevelColumnFormatter
from structlog.processors import JSONRenderer, format_exc_info
from structlog.stdlib import ProcessorFormatter

from gridq.logs.mask import Mask

Fields = dict[str, Any]
Facts = Callable[[], Fields]

_FROM_CELERY = {"data", "task_name"}
_FROM_STRUCTLOG = {"_logger", "_name"}
#: What a record has by itself or from these two; everything else was given by whoever said it (`extra=`).
_OWN = {*vars(logging.makeLogRecord({})), "asctime", "message", "taskName", *_FROM_CELERY, *_FROM_STRUCTLOG}
#: What is ours and can hold no secret.
_SAFE = {"timestamp", "level", "logger", "worker", "node", "gpu", "task_id", "task", "attempt"}
#: Whose records need not say to people where they come from.
_KNOWN = {"celery", "gridq", "kombu"}

_DIM, _BOLD, _RESET = "\033[2m", "\033[1m", "\033[0m"
_LEVELS = {
    "debug": _DIM,
    "info": "\033[32m",
    "warning": "\033[33m",
    "error": "\033[31m",
    "critical": "\033[1;31m",
}


def formatter(form: str, facts: Facts, mask: Mask, *, colors: bool) -> logging.Formatter:
    """What writes all records of a process.

    Args:
        form: `json` or `console`.
        facts: says who speaks.
        mask: takes secrets out.
        colors: whether lines for people are coloured.
    """
    if form == "json":
        return _Json(Composing(facts, mask))
    return _formatter(Composing(facts, mask), shortened, _console(colors=colors))


class Masked(logging.Formatter):
    """Another formatter's lines, without secrets."""

    def __init__(self, inner: logging.Formatter, mask: Mask) -> None:
        super().__init__()
        self._inner = inner
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """logging's hook."""
        return self._mask.text(self._inner.format(record))


class Composing:
    """The first step: from a record to its fields.

    Args:
        facts: says who speaks.
        mask: takes secrets out.
    """

    def __init__(self, facts: Facts, mask: Mask) -> None:
        self._facts = facts
        self._mask = mask

    def __call__(self, logger: object, method: str, given: Fields) -> Fields:
        """structlog's hook."""
        record: logging.LogRecord = given.pop("_record")
        del given["_from_structlog"]
        fields: Fields = {
            "timestamp": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": given.pop("event", ""),
            **self._facts(),
            **_task_of(record),
            **{name: value for name, value in record.__dict__.items() if name not in _OWN},
            **given,
        }
        if "exc_info" in fields:
            fields = dict(format_exc_info(logger, method, fields))
        if "stack_info" in fields:
            fields["stack"] = fields.pop("stack_info")
        for name in fields.keys() - _SAFE:
            fields[name] = self._mask.value(name, fields[name])
        return fields


def _task_of(record: logging.LogRecord) -> Fields:
    """Of which task one of Celery's own records is. What else it has of it, its arguments too, is not for logs."""
    data = record.__dict__.get("data")
    if isinstance(data, dict) and "id" in data and "name" in data:
        return {"task_id": data["id"], "task": data["name"]}
    return {}


def timestamp(seconds: float) -> str:
    """A time as ISO 8601 has it, in UTC, with milliseconds: `2026-11-05T12:00:00.123Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def shortened(logger: object, method: str, fields: Fields) -> Fields:
    """For people: the worker's name tells its node and its GPU, and what the event says need not be said again."""
    fields.pop("node", None)
    fields.pop("gpu", None)
    if fields["logger"].partition(".")[0] in _KNOWN:
        del fields["logger"]
    if "task_id" in fields and fields["task_id"] in fields["event"]:
        del fields["task_id"]
        fields.pop("task", None)
    return fields


def adopt_structlog() -> None:
    """Tasks that log with structlog say it in the same form, unless their program has set structlog up by itself."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _formatter(*processors: Any) -> logging.Formatter:
    return _Formatter(processors=processors)


class _Formatter(ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001 (logging would drop the record, and print it as it is, with its secrets)
            values = vars(record) | {"msg": "%r with %r (%r)", "args": (record.msg, record.args, error)}
            return super().format(logging.makeLogRecord(values))


class _Json(_Formatter):
    """As structlog does it; but most records are plain ones, for which it need not make a copy of each."""

    def __init__(self, compose: Composing) -> None:
        self._compose = compose
        self._render = JSONRenderer()
        processors: list[Any] = [compose, self._render]
        super().__init__(processors=processors)

    def format(self, record: logging.LogRecord) -> str:
        if type(record.msg) is not str or record.exc_info or record.stack_info:
            return super().format(record)
        try:
            given: Fields = {"event": record.getMessage(), "_record": record, "_from_structlog": False}
            return str(self._render(None, "", self._compose(None, "", given)))
        except Exception:  # noqa: BLE001 (as above, which says what cannot be said)
            return super().format(record)


def _shown(value: object) -> str:
    """A value beside its name; one that has spaces in quotes, so that it can be told where it ends."""
    text = str(value)
    return repr(text) if " " in text or "\n" in text else text


def _console(*, colors: bool) -> ConsoleRenderer:
    """Time, level, worker and event, then whatever else is known as `name=value`."""
    dim, bold, reset = (_DIM, _BOLD, _RESET) if colors else ("", "", "")
    levels = _LEVELS if colors else dict.fromkeys(_LEVELS, "")

    def column(style: str, key_style: str | None = None) -> KeyValueColumnFormatter:
        return KeyValueColumnFormatter(key_style, style, reset, value_repr=str if key_style is None else _shown)

    return ConsoleRenderer(
        columns=[
            Column("timestamp", column(dim)),
            Column("level", LogLevelColumnFormatter(levels, reset)),
            Column("worker", column(bold)),
            Column("event", column("")),
            Column("", column(dim, dim)),
        ],
        sort_keys=False,
    )
