"""The few kinds of panels that gridq's dashboards have, and how they are laid out, in Grafana's JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

#: Grafana's grid is so wide.
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GOOD, FAIR, BAD, MUTE = "green", "yellow", "red", "#8e8e8e"
VERDICTS = {"healthy": GOOD, "degraded": FAIR, "unhealthy": BAD, "unknown": "purple"}
OUTCOMES = {"done": GOOD, "failed": BAD, "cancelled": MUTE, "dead": "dark-red"}


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and what its series are called (`{{node}}` is a label)."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel that knows its size, but not yet its place.

    Attributes:
        body: Grafana's JSON without id and place.
        width: of 24 columns.
        height: in Grafana's rows of 30 pixels.
    """

    body: Json
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page: its rows of panels, from the top, and the variables one can choose by.

    Attributes:
        uid: what its URL has; stays the same for ever.
        rows: heading → panels.
    """

    uid: str
    title: str
    description: str
    variables: Sequence[Json]
    rows: Mapping[str, Sequence[Panel]] = field(default_factory=dict)

    def to_json(self) -> Json:
        """As Grafana provisions it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["gridq"],
            "editable": True,
            "graphTooltip": 1,
            "refresh": "15s",
            "schemaVersion": 39,
            "time": {"from": "now-3h", "to": "now"},
            "links": [
                {
                    "title": "gridq",
                    "type": "dashboards",
                    "tags": ["gridq"],
                    "asDropdown": False,
                    "icon": "external link",
                    "includeVars": True,
                    "keepTime": True,
                    "targetBlank": False,
                    "tooltip": "",
                    "url": "",
                }
            ],
            "templating": {"list": list(self.variables)},
            "panels": _placed(self.rows),
        }


def _placed(rows: Mapping[str, Sequence[Panel]]) -> list[Json]:
    placed: list[Json] = []
    y = 0
    for title, panels in rows.items():
        heading = {"type": "row", "title": title, "collapsed": False, "panels": []}
        placed.append(heading | {"id": len(placed) + 1, "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}})
        y += 1
        x = height = 0
        for panel in panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            placed.append(panel.body | {"id": len(placed) + 1, "gridPos": place})
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return placed


# -- variables


def datasource() -> Json:
    """Which Prometheus; hidden where there is one."""
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def choice(name: str, query: str, *, label: str) -> Json:
    """One of the values that Prometheus knows."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
    }


def choices(name: str, query: str, *, label: str) -> Json:
    """Any of the values that Prometheus knows, at first all."""
    everything = {"text": ["All"], "value": ["$__all"], "selected": True}
    return choice(name, query, label=label) | {
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": everything,
    }


# -- panels


def number(
    title: str, expression: str, help: str, *, unit: str = "none", steps: Mapping[float, str] | None = None
) -> Panel:
    """One number now, with its course behind it; `steps` colours it from each value on."""
    body = _panel("stat", title, help, [Query(expression)], {"unit": unit, "noValue": "–"})
    first = {"color": GOOD if steps else "text", "value": None}
    colored = [first, *({"color": color, "value": at} for at, color in (steps or {}).items())]
    thresholds = {"mode": "absolute", "steps": colored}
    body["fieldConfig"]["overrides"] = [_override(_ALL, color={"mode": "thresholds"}, thresholds=thresholds)]
    body["options"] = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value",
    }
    return Panel(body, width=3, height=4)


def lines(title: str, queries: Iterable[Query], help: str, *, unit: str = "short") -> Panel:
    """Lines over time."""
    return _over_time(title, queries, help, unit, {"fillOpacity": 8, "lineWidth": 1, "showPoints": "never"})


def areas(
    title: str, queries: Iterable[Query], help: str, *, unit: str = "short", colors: Mapping[str, str] | None = None
) -> Panel:
    """Areas upon each other: what adds up. `colors` by the series' name."""
    stacking = {"group": "A", "mode": "normal"}
    stacked = {"fillOpacity": 60, "lineWidth": 0, "showPoints": "never", "stacking": stacking}
    panel = _over_time(title, queries, help, unit, stacked)
    panel.body["fieldConfig"]["overrides"] = [
        _override(_named(name), color={"mode": "fixed", "fixedColor": color}) for name, color in (colors or {}).items()
    ]
    return panel


def _over_time(title: str, queries: Iterable[Query], help: str, unit: str, custom: Json) -> Panel:
    body = _panel("timeseries", title, help, queries, {"unit": unit, "min": 0, "custom": custom})
    body["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel(body, width=12, height=8)


def states(title: str, query: Query, help: str, *, names: Mapping[str, str]) -> Panel:
    """A bar for each series over time; its value is the place of a name, which has a colour, in `names`."""
    body = _panel("state-timeline", title, help, [query], {"custom": {"fillOpacity": 80, "lineWidth": 0}})
    values = {str(value): {"text": text, "color": color} for value, (text, color) in enumerate(names.items())}
    body["fieldConfig"]["overrides"] = [_override(_ALL, mappings=[{"type": "value", "options": values}])]
    body["options"] = {
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return Panel(body, width=COLUMNS, height=10)


def heatmap(title: str, expression: str, help: str) -> Panel:
    """How a histogram of seconds changes over time."""
    body = _panel("heatmap", title, help, [Query(expression, "{{le}}")], {})
    body["targets"][0]["format"] = "heatmap"
    body["options"] = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "reverse": False},
        "legend": {"show": False},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "unit": "s", "reverse": False},
    }
    return Panel(body, width=12, height=8)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the value of a query, or, without one, a label of the queries' series."""

    title: str
    expression: str = ""
    unit: str = "none"
    label: str = ""


def table(title: str, columns: Sequence[Column], help: str, *, height: int = 9) -> Panel:
    """A row for each set of labels that the queries have in common."""
    measured = [column for column in columns if column.expression]
    body = _panel("table", title, help, [Query(column.expression) for column in measured], {})
    for target in body["targets"]:
        target |= {"format": "table", "instant": True, "range": False}
    # Grafana calls a column by its query only when there are several.
    fields = [f"Value #{target['refId']}" for target in body["targets"]] if len(measured) > 1 else ["Value"]
    named = dict(zip(fields, measured, strict=True)) | {column.label: column for column in columns if column.label}
    organized = {
        "excludeByName": {"Time": True},
        "indexByName": {name: columns.index(column) for name, column in named.items()},
        "renameByName": {name: column.title for name, column in named.items()},
    }
    body["transformations"] = [{"id": "merge", "options": {}}, {"id": "organize", "options": organized}]
    body["fieldConfig"]["overrides"] = [
        _override(_named(column.title), unit=column.unit) for column in measured if column.unit != "none"
    ]
    body["options"] = {"cellHeight": "sm", "showHeader": True, "footer": {"show": False, "reducer": ["sum"]}}
    return Panel(body, width=COLUMNS, height=height)


def text(title: str, markdown: str) -> Panel:
    """Words."""
    body = {"type": "text", "title": title, "options": {"mode": "markdown", "content": markdown}}
    return Panel(body, width=COLUMNS, height=5)


def _panel(kind: str, title: str, help: str, queries: Iterable[Query], defaults: Json) -> Json:
    targets = [
        {
            "refId": chr(ord("A") + place),
            "datasource": DATASOURCE,
            "expr": query.expression,
            "legendFormat": query.legend or "__auto",
        }
        for place, query in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": help,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
    }


_ALL = {"id": "byRegexp", "options": "/.*/"}


def _named(title: str) -> Json:
    return {"id": "byName", "options": title}


def _override(matcher: Json, **properties: object) -> Json:
    """What differs for some fields; colours, thresholds and mappings are always said here.

    Elsewhere Grafana's published types want members of TypeScript enums, which no JSON can be checked against.
    """
    return {"matcher": matcher, "properties": [{"id": id, "value": value} for id, value in properties.items()]}
