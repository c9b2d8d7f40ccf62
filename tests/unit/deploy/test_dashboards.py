"""Dashboards: as their sources have them, and made of what the exporter and the rules have."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from promql import LABELS, SERIES, labels_of, metrics_of

ROOT = Path(__file__).parents[3]
GRAFANA = ROOT / "deploy" / "grafana"
PAGES = sorted((GRAFANA / "dashboards").glob("*.json"))
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text("utf-8"))["groups"]
ALERTS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
RECORDED = {rule["record"]: rule["expr"] for group in RULES for rule in group["rules"]}
#: What Prometheus itself adds: the alerts, and their labels.
ALERT_LABELS = {"alertname", "alertstate", "severity"}


def page(path: Path) -> dict[str, Any]:
    """A dashboard."""
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


def expressions(path: Path) -> Iterator[str]:
    """Every PromQL expression of a dashboard, those of its variables included, with a number for each variable."""
    for panel in page(path)["panels"]:
        yield from (filled(target["expr"]) for target in panel.get("targets", []))
    for variable in page(path)["templating"]["list"]:
        if variable["type"] == "query":
            yield filled(re.sub(r"^label_values\((.*), \w+\)$", r"\1", variable["query"]["query"]))


def filled(expression: str) -> str:
    """The expression as Grafana sends it."""
    return re.sub(r"\$\w+", "5m", expression)


def test_the_dashboards_are_as_their_sources_have_them() -> None:
    done = subprocess.run([sys.executable, GRAFANA / "build.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_dashboard_names_only_what_the_exporter_or_a_rule_has(path: Path) -> None:
    known = SERIES.keys() | RECORDED.keys() | {"ALERTS"}
    assert len(list(expressions(path))) > 10
    for expression in expressions(path):
        assert metrics_of(expression) - known == set(), expression
        assert labels_of(expression) - LABELS - ALERT_LABELS == set(), expression


def test_every_rule_that_is_recorded_is_used() -> None:
    alerts = [rule["expr"] for group in ALERTS for rule in group["rules"]]
    shown = [expression for path in PAGES for expression in expressions(path)]
    used = set().union(*map(metrics_of, [*alerts, *shown, *RECORDED.values()]))
    assert RECORDED.keys() - used == set()


def test_every_metric_of_the_exporter_is_shown_alerted_or_recorded() -> None:
    alerts = [rule["expr"] for group in ALERTS for rule in group["rules"]]
    shown = [expression for path in PAGES for expression in expressions(path)]
    used = set().union(*map(metrics_of, [*alerts, *shown, *RECORDED.values()]))
    # A histogram is seen by its buckets. What an exporter says of itself is for whoever debugs it.
    unseen = {name for name in SERIES if not name.endswith(("_sum", "_count"))} - used
    assert unseen - {"gridq_build_info", "gridq_scrape_seconds"} == set()


def test_pages_have_names_of_their_own_and_every_panel_says_what_it_shows() -> None:
    pages = [page(path) for path in PAGES]
    assert len({one["uid"] for one in pages}) == len({one["title"] for one in pages}) == len(pages) == 3
    for panel in [panel for one in pages for panel in one["panels"]]:
        assert panel["type"] in ("row", "text") or panel["description"], panel["title"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_panel_lies_on_another_or_outside_of_the_page(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in page(path)["panels"]:
        place = panel["gridPos"]
        columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = {(x, y) for x in columns for y in rows}
        assert max(columns) < 24 and not cells & taken, panel["title"]
        taken |= cells


def test_grafana_finds_the_dashboards_and_their_prometheus() -> None:
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/gridq.yml").read_text("utf-8"))["providers"][0]
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text("utf-8"))["datasources"][0]
    assert provider["type"] == "file" and provider["options"]["path"]
    assert source["type"] == "prometheus" and source["isDefault"]
