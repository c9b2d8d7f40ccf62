"""How a record becomes a line."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from gridq.logs.line import Masked, adopt_structlog, formatter, timestamp
from gridq.logs.mask import Mask

GPU = "GPU-1f2a"


def facts() -> dict[str, Any]:
    """A worker that runs a task."""
    return {"worker": "gpu0@node1", "node": "node1", "gpu": GPU, "task_id": "id-1", "task": "shop.work", "attempt": 2}


def record(event: str, *arguments: Any, level: int = logging.INFO, name: str = "shop", **extra: Any) -> Any:
    """What the logging module makes of a call."""
    info = extra.pop("exc_info", None)
    return logging.getLogger(name).makeRecord(name, level, __file__, 1, event, arguments, info, extra=extra)


def said(of: logging.LogRecord) -> dict[str, Any]:
    """The fields of the JSON line."""
    line = formatter("json", facts, Mask(["correct horse"]), colors=False).format(of)
    assert "\n" not in line
    fields: dict[str, Any] = json.loads(line)
    return fields


def shown(of: logging.LogRecord, *, colors: bool = False) -> str:
    """The line for people, without its time."""
    line = formatter("console", facts, Mask(), colors=colors).format(of)
    return re.sub(r"^(\x1b\[2m)?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z(\x1b\[0m)? ", "", line)


def broken(message: str) -> Any:
    """The exc_info of an error."""
    try:
        raise ValueError(message)
    except ValueError:
        return sys.exc_info()


def test_a_time_is_utc_with_milliseconds() -> None:
    assert timestamp(1793880000.1237) == "2026-11-05T12:00:00.123Z"
    assert timestamp(1793880000) == "2026-11-05T12:00:00.000Z"


def test_a_json_line_says_who_and_what_in_one_order() -> None:
    fields = said(record("epoch %d", 3, loss=0.5))
    assert list(fields) == [
        *("timestamp", "level", "logger", "event", "worker", "node", "gpu", "task_id", "task", "attempt", "loss")
    ]
    assert fields | facts() == fields
    assert (fields["level"], fields["logger"], fields["event"], fields["loss"]) == ("info", "shop", "epoch 3", 0.5)


def test_celerys_records_of_a_task_name_it_and_keep_its_arguments_to_themselves() -> None:
    data = {"id": "id-2", "name": "shop.add", "args": "(1, 'private')", "kwargs": "{}"}
    fields = said(record("Task %(name)s[%(id)s] received", data, name="celery.worker.strategy", data=data))
    assert (fields["task_id"], fields["task"]) == ("id-2", "shop.add")
    assert "private" not in json.dumps(fields)


def test_an_exception_is_one_string_without_secrets() -> None:
    error = broken("cannot reach redis://:hunter2@db with correct horse")
    fields = said(record("it broke: %s", error[1], level=logging.ERROR, exc_info=error))
    assert fields["exception"].startswith("Traceback (most recent call last):\n")
    assert fields["exception"].endswith("ValueError: cannot reach redis://:***@db with ***")
    assert fields["event"] == "it broke: cannot reach redis://:***@db with ***"


def test_a_stack_is_said_too() -> None:
    of = record("here")
    of.stack_info = "Stack (most recent call last):\n  File x"
    assert said(of)["stack"] == of.stack_info
    assert shown(of).endswith("\nStack (most recent call last):\n  File x")


def test_what_was_given_by_name_is_masked_by_name() -> None:
    fields = said(record("login", token="abc", headers={"Authorization": "Bearer abc"}, user="me"))
    assert (fields["token"], fields["headers"], fields["user"]) == ("***", {"Authorization": "***"}, "me")


def test_what_json_cannot_hold_is_no_reason_to_lose_a_line() -> None:
    fields = said(record("shape", size={(1, 2): {3}}, at=object, ratio=float("inf")))
    assert (fields["size"], fields["ratio"]) == ({"(1, 2)": "{3}"}, "inf")


def test_a_call_whose_words_and_values_do_not_fit_is_said_without_secrets() -> None:
    fields = said(record("took %d s", "redis://:hunter2@db"))
    assert fields["event"].startswith("'took %d s' with ('redis://:***@db',) (TypeError(")


def test_a_record_is_as_it_was_for_the_handlers_after_ours() -> None:
    error = broken("why")
    of = record("epoch %d", 3, exc_info=error)
    said(of)
    assert (of.msg, of.args, of.exc_info) == ("epoch %d", (3,), error)


def test_a_line_for_people_leaves_out_what_they_know() -> None:
    assert shown(record("epoch 3", loss=0.5, note="not yet")) == (
        "[info    ] gpu0@node1 epoch 3 logger=shop task_id=id-1 task=shop.work attempt=2 loss=0.5 note='not yet'"
    )
    event = "Task shop.work[id-1] succeeded"
    assert shown(record(event, name="celery.app.trace")) == f"[info    ] gpu0@node1 {event} attempt=2"


def test_a_traceback_for_people_is_one() -> None:
    lines = shown(record("it broke", exc_info=broken("redis://:hunter2@db"))).splitlines()
    assert lines[0].startswith("[info    ] gpu0@node1 it broke") and lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: redis://:***@db"


def test_only_a_terminal_gets_colours() -> None:
    assert "\x1b" not in shown(record("epoch 3", level=logging.ERROR))
    assert "\x1b[31merror" in shown(record("epoch 3", level=logging.ERROR), colors=True)


def test_another_formatters_lines_are_masked() -> None:
    inner = logging.Formatter("%(levelname)s %(message)s")
    assert Masked(inner, Mask()).format(record("redis://:hunter2@db")) == "INFO redis://:***@db"


@pytest.fixture
def structured() -> Any:
    """A logger of structlog's, set up as in a worker, and what it wrote."""
    handler = logging.StreamHandler(stream := io.StringIO())
    handler.setFormatter(formatter("json", facts, Mask(), colors=False))
    logger = logging.getLogger("structured")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    structlog.reset_defaults()
    adopt_structlog()
    yield structlog.get_logger("structured"), stream.getvalue
    structlog.reset_defaults()
    logger.removeHandler(handler)


def test_what_structlog_is_told_has_the_same_form(structured: tuple[Any, Callable[[], str]]) -> None:
    logger, written = structured
    with structlog.contextvars.bound_contextvars(step=7):
        logger.bind(run="a").warning("slow", seconds=1.5, password="hunter2")
    logger.debug("not asked for")
    fields = json.loads(written())
    assert fields | facts() == fields
    assert [fields[name] for name in ("level", "event", "step", "run", "seconds", "password")] == [
        *("warning", "slow", 7, "a", 1.5, "***")
    ]


def test_a_program_that_has_set_structlog_up_keeps_its_way(structured: tuple[Any, Callable[[], str]]) -> None:
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    mine = structlog.get_config()["processors"]
    adopt_structlog()
    assert structlog.get_config()["processors"] is mine
