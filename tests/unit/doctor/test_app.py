"""An app is judged by its settings as read back: what breaks a promise, what has no effect, what is misspelt."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import Celery

import gridq
from gridq import config
from gridq.doctor import facts
from gridq.doctor.app import App, examine
from gridq.doctor.finding import Finding, Severity


def shop(*sources: Any, **settings: Any) -> Any:
    """A Celery app with gridq and these settings."""
    app = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    gridq.install(app, config.load(environ={}))
    for source in sources:
        app.config_from_object(source)
    app.conf.update(settings)
    return app


def bad(app: Any) -> list[Finding]:
    """All findings that are not well."""
    found: App = facts.of_app(app)
    return [finding for finding in examine(found) if finding.severity is not Severity.OK]


def test_nothing_is_found_wrong_with_an_app_as_gridq_makes_it() -> None:
    assert bad(shop()) == []


@pytest.mark.parametrize(
    ("name", "value", "severity", "words"),
    [
        ("task_acks_late", False, Severity.ERROR, "lost for good"),
        ("task_always_eager", True, Severity.ERROR, "none reaches a worker"),
        ("task_acks_on_failure_or_timeout", False, Severity.WARNING, "dead letter"),
        ("broker_connection_retry", False, Severity.WARNING, "ends as soon as Redis is away"),
        ("broker_connection_max_retries", 3, Severity.WARNING, "= 3"),
        ("task_publish_retry", False, Severity.WARNING, "fails at once"),
        ("worker_enable_remote_control", False, Severity.WARNING, "gridq cancel"),
        ("result_expires", None, Severity.WARNING, "kept for ever"),
        ("accept_content", ["json", "pickle"], Severity.WARNING, "run code"),
        ("task_ignore_result", True, Severity.NOTE, "never learn"),
        ("worker_concurrency", 8, Severity.NOTE, "on one GPU"),
        ("worker_pool", "gevent", Severity.NOTE, "together with its worker"),
        ("broker_transport_options", {"visibility_timeout": 60}, Severity.NOTE, "has no effect"),
    ],
)
def test_a_risky_setting_is_named_with_its_value_and_a_better_one(
    name: str, value: Any, severity: Severity, words: str
) -> None:
    (found,) = bad(shop(**{name: value}))
    assert found.severity is severity
    assert words in found.evidence
    assert found.hint


def test_what_gridq_needs_and_an_app_changes_later_is_a_warning() -> None:
    app = shop(worker_prefetch_multiplier=4)
    assert bad(app) == [], "gridq sets it whatever the app says"
    app.conf.worker_prefetch_multiplier = 4
    (found,) = bad(app)
    assert "worker_prefetch_multiplier = 4, set after gridq.install(app)" in found.evidence


def test_no_end_of_tries_is_not_few() -> None:
    assert bad(shop(broker_connection_max_retries=None)) == []
    assert bad(shop(broker_connection_max_retries=0)) == []


@pytest.mark.parametrize("name", ["task_ack_late", "TASK_ACK_LATE", "CELERY_TASK_ACK_LATE"])
def test_a_misspelt_setting_is_met_with_the_right_one(name: str) -> None:
    (found,) = bad(shop(**{name: True}))
    assert found.severity is Severity.WARNING
    assert name in found.evidence
    assert found.hint == "did you mean 'task_acks_late'?"


def test_settings_of_other_programs_are_a_note_without_their_values() -> None:
    (found,) = bad(shop(redbeat_redis_url="redis://:geheim@h"))
    assert found.severity is Severity.NOTE
    assert "redbeat_redis_url" in found.evidence
    assert "geheim" not in repr(found)


def test_what_a_module_of_settings_imports_is_no_setting() -> None:
    module = ModuleType("settings")
    module.os = sys.modules["os"]  # type: ignore[attr-defined]
    module.Path = Path  # type: ignore[attr-defined]
    module.worker_hijack_root_logger = False  # type: ignore[attr-defined]
    assert bad(shop(module)) == []


def test_old_names_of_settings_are_known() -> None:
    assert bad(shop({"CELERYD_HIJACK_ROOT_LOGGER": False})) == []


def test_modules_that_cannot_be_imported_are_an_error() -> None:
    (found,) = bad(shop(imports=["no_such_module"]))
    assert (found.check, found.severity) == ("tasks", Severity.ERROR)
    assert "no_such_module" in found.evidence


def test_tasks_that_give_up_late_acknowledgement_are_named() -> None:
    app = shop()

    def work() -> None:
        """Nothing."""

    app.task(work, acks_late=False, name="shop.hasty", shared=False)
    app.task(work, name="shop.sound", shared=False)
    (found,) = bad(app)
    assert "shop.hasty" in found.evidence and "shop.sound" not in found.evidence


def test_without_a_broker_results_are_no_second_finding(tmp_path: Path) -> None:
    app = Celery("shop", set_as_current=False)
    gridq.install(app, config.load(environ={"GRIDQ_RUNTIME_DIR": str(tmp_path)}))
    assert "results" not in {finding.check for finding in examine(facts.of_app(app))}


def test_a_result_backend_that_does_not_answer_is_an_error_without_its_password() -> None:
    app = shop(result_backend="redis://:geheim@127.0.0.1:1/0")
    (found,) = bad(app)
    assert (found.check, found.severity) == ("results", Severity.ERROR)
    assert "geheim" not in repr(found)
