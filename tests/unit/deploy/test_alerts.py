"""Alerts and rules: what they are made of exists, each of them is tested, and each tells a person what to do."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from promql import LABELS, SERIES, labels_of, metrics_of

from gridq.cli.group import Gridq

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
SEVERITIES = {"critical", "warning", "info"}


def rules(file: str) -> list[dict[str, Any]]:
    """All rules of a file, in its order."""
    groups = yaml.safe_load((PROMETHEUS / file).read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS, RECORDED = rules("alerts.yml"), rules("rules.yml")
NAMES = [alert["alert"] for alert in ALERTS]


def paragraphs() -> dict[str, str]:
    """What docs/alerts.md says under each heading of an alert."""
    text = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    return dict(re.findall(r"^### (\w+)\n(.+?)(?=\n\n|\Z)", text, re.M | re.S))


def commands_in(text: str) -> list[list[str]]:
    """Every gridq command that a text tells people to run, as words."""
    filled = re.sub(r"\{\{.*?\}\}", "x", " ".join(text.split()))
    return [shlex.split(words) for words in re.findall(r"`gridq ([^`]+)`", filled)]


def is_understood(words: list[str]) -> bool:
    """Whether there is such a command, with such options and arguments."""
    command: click.Command | None = Gridq()
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words[0]) if words else None
        words = words[1:]
    if command is None:
        return False
    command.make_context("gridq", words)
    return True


def test_promtool_finds_the_rules_the_alerts_and_the_example_in_order(program: Callable[[str], str]) -> None:
    promtool = program("promtool")
    for what in (["rules", "rules.yml", "alerts.yml"], ["config", "prometheus.yml"]):
        done = subprocess.run([promtool, "check", *what], cwd=PROMETHEUS, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_and_clear_as_their_unit_tests_say(path: Path, program: Callable[[str], str]) -> None:
    done = subprocess.run(
        [program("promtool"), "test", "rules", path.name], cwd=path.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    firing: set[str] = set()
    for test in [test for path in TESTS for test in yaml.safe_load(path.read_text("utf-8"))["tests"]]:
        firing |= {case["alertname"] for case in test.get("alert_rule_test", []) if case["exp_alerts"]}
        samples = [sample["labels"] for case in test.get("promql_expr_test", []) for sample in case["exp_samples"]]
        firing |= {name for labels in samples for name in re.findall(r'alertname="(\w+)".*"firing"', labels)}
    assert firing == set(NAMES)


@pytest.mark.parametrize("rule", ALERTS + RECORDED, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_names_only_what_the_exporter_or_another_rule_has(rule: dict[str, Any]) -> None:
    recorded = {other["record"] for other in RECORDED}
    assert metrics_of(rule["expr"])
    assert metrics_of(rule["expr"]) - recorded - SERIES.keys() - {"up"} == set()
    assert labels_of(rule["expr"]) - LABELS == set()


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_says_how_bad_it_is_what_was_seen_and_which_command_to_run(alert: dict[str, Any]) -> None:
    assert alert["labels"].keys() == {"severity"} and alert["labels"]["severity"] in SEVERITIES
    assert alert["annotations"].keys() == {"summary", "description"}
    assert len(alert["annotations"]["summary"]) < 120
    said = commands_in(alert["annotations"]["description"])
    assert said and all(map(is_understood, said))


def test_every_alert_has_a_paragraph_in_the_docs_in_the_same_order_that_names_severity_and_commands() -> None:
    told = paragraphs()
    assert list(told) == NAMES
    for alert in ALERTS:
        text = told[alert["alert"]]
        assert text.startswith(f"*{alert['labels']['severity']}"), alert["alert"]
        assert commands_in(text) and all(map(is_understood, commands_in(text))), alert["alert"]
