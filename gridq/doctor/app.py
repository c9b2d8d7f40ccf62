"""Do the app's settings break what gridq promises? Each check is a function of the settings as read back."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gridq.doctor.finding import Finding, Severity, note, ok, warning

#: Celery's own tries at connecting; fewer, and a worker ends while Redis fails over.
_FEW_RETRIES = 20
_NEAR = 0.8


@dataclass(frozen=True, slots=True)
class App:
    """What the checks of the app look at.

    Attributes:
        conf: its settings, Celery's defaults included, by Celery's own names.
        known: every name that Celery knows, old ones included, in small letters.
        required: what gridq set whatever the app said.
        given: the names that the app or its configuration module set.
        early: names of tasks that are acknowledged before they run, against the app's setting.
        broken: why the modules of tasks cannot be imported; None where they can.
        backend: why results cannot be stored; None where they can.
        bare: whether neither a broker nor a result backend is said, so that nothing can be asked.
    """

    conf: Mapping[str, Any]
    known: frozenset[str]
    required: Mapping[str, Any] = field(default_factory=dict)
    given: Sequence[str] = ()
    early: Sequence[str] = ()
    broken: str | None = None
    backend: str | None = None
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Risk:
    """A setting whose value is risky.

    Attributes:
        name: Celery's.
        risky: whether the value is.
        why: what happens with it.
        instead: what to set.
        severity: how bad it is.
    """

    name: str
    risky: Callable[[Any], bool]
    why: str
    instead: str
    severity: Severity = Severity.WARNING


def _is(*values: Any) -> Callable[[Any], bool]:
    return lambda value: any(value is one for one in values)


def _few(value: Any) -> bool:
    return isinstance(value, int) and 0 < value < _FEW_RETRIES


RISKS = (
    Risk(
        "task_acks_late",
        _is(False, None),
        "tasks are acknowledged before they run: with their worker they are lost for good",
        "task_acks_late = True",
        Severity.ERROR,
    ),
    Risk(
        "task_always_eager",
        _is(True),
        "tasks run in the process that calls them; none reaches a worker or a GPU",
        "task_always_eager = False",
        Severity.ERROR,
    ),
    Risk(
        "task_acks_on_failure_or_timeout",
        _is(False),
        "a task that fails is rejected, and so becomes a dead letter",
        "task_acks_on_failure_or_timeout = True, and retries by autoretry_for or self.retry()",
    ),
    Risk(
        "broker_connection_retry",
        _is(False),
        "a worker ends as soon as Redis is away",
        "broker_connection_retry = True",
    ),
    Risk(
        "broker_connection_retry_on_startup",
        _is(False),
        "a worker that starts before Redis does ends",
        "broker_connection_retry_on_startup = True",
    ),
    Risk(
        "broker_connection_max_retries",
        _few,
        "a worker ends when Redis is away for longer than these tries take",
        "broker_connection_max_retries = 100 (Celery's default), or None for no end",
    ),
    Risk(
        "task_publish_retry",
        _is(False),
        "a publish that meets a failover of Redis fails at once",
        "task_publish_retry = True",
    ),
    Risk(
        "worker_enable_remote_control",
        _is(False),
        "workers do not hear gridq cancel, revoke and inspect",
        "worker_enable_remote_control = True",
    ),
    Risk(
        "result_expires",
        _is(None, 0),
        "results are kept for ever and fill Redis",
        "result_expires = 86400 (Celery's default, in seconds)",
    ),
    Risk(
        "accept_content",
        lambda value: bool({"pickle", "application/x-python-serialize"} & set(value or ())),
        "whoever can write to Redis can run code in every worker",
        'accept_content = ["json"]',
    ),
    Risk(
        "task_ignore_result",
        _is(True),
        "callers never learn of a result or a loss",
        "task_ignore_result = False, and ignore_result=True for single tasks",
        Severity.NOTE,
    ),
    Risk(
        "worker_concurrency",
        lambda value: isinstance(value, int) and value > 1,
        "GPU workers too run so many tasks at a time, on one GPU",
        "leave it out and give CPU workers -c",
        Severity.NOTE,
    ),
    Risk(
        "worker_pool",
        lambda value: value not in (None, "prefork"),
        "a running task can only be ended together with its worker",
        'worker_pool = "prefork"',
        Severity.NOTE,
    ),
)


def examine(app: App) -> Iterator[Finding]:
    """Every check of the app."""
    yield from tasks(app)
    yield from risks(app)
    yield from required(app)
    yield from visibility(app)
    yield from unknown(app)
    yield from results(app)


def tasks(app: App) -> Iterator[Finding]:
    """Whether workers can import the tasks, and which of them give up late acknowledgement."""
    if app.broken is not None:
        mend = "python -c 'import MODULE' shows all of it; tasks in gridq.yaml names the modules"
        yield Finding("tasks", app.broken, Severity.ERROR, "modules that can be imported", mend)
    if app.early:
        seen = f"acks_late=False on {_some(app.early)}: with their worker they are lost for good"
        yield warning("acks", seen, "acks_late=True", "leave acks_late out of @app.task")


def risks(app: App) -> Iterator[Finding]:
    """The table above."""
    found = [risk for risk in RISKS if risk.risky(app.conf.get(risk.name))]
    for risk in found:
        seen = f"{risk.name} = {app.conf.get(risk.name)!r}: {risk.why}"
        yield Finding("settings", seen, risk.severity, hint=risk.instead)
    if not found:
        yield ok("settings", f"none of {len(RISKS)} risky ones is set")


def required(app: App) -> Iterator[Finding]:
    """Whether what gridq set still holds; an app can change it after `install`."""
    for name, value in app.required.items():
        if app.conf.get(name) != value:
            seen = f"{name} = {app.conf.get(name)!r}, set after gridq.install(app)"
            yield warning("settings", seen, f"{name} = {value!r}, as gridq had set it", f"leave {name} out")


def visibility(app: App) -> Iterator[Finding]:
    """A setting from Celery's own transport that people bring along."""
    options = app.conf.get("broker_transport_options") or {}
    if "visibility_timeout" in options:
        seen = f"visibility_timeout = {options['visibility_timeout']!r} has no effect: a task may run for ever"
        mend = "leave it out of broker_transport_options; the setting lease says when a silent worker loses its tasks"
        yield note("visibility", seen, "no such option", mend)


def unknown(app: App) -> Iterator[Finding]:
    """Names that Celery takes and ignores: misspelt ones, and those of other programs."""
    strange = []
    for name in app.given:
        plain = name.lower().removeprefix("celery_")
        if name.lower() in app.known or plain in app.known:
            continue
        near = difflib.get_close_matches(plain, app.known, n=1, cutoff=_NEAR)
        if near:
            yield warning(
                "names", f"{name} is no setting of Celery, and has no effect", near[0], f"did you mean {near[0]!r}?"
            )
        else:
            strange.append(name)
    if strange:
        yield note("names", f"no settings of Celery: {_some(strange)}", hint="fine where another program reads them")


def results(app: App) -> Iterator[Finding]:
    """Whether results have somewhere to go."""
    if app.bare:
        return
    if app.backend is not None:
        mend = "set result_backend, in gridq.yaml or in the app"
        yield Finding("results", app.backend, Severity.ERROR, "a result backend that answers", mend)
    else:
        yield ok("results", "the result backend answers")


def _some(names: Sequence[str], most: int = 5) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
