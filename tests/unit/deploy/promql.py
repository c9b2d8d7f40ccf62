"""What a PromQL expression names, against the exporter's table of metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gridq.exporter.metrics import TABLE, Kind

#: Every series that the exporter has, by name, with its labels.
SERIES = {
    metric.name + suffix: {*metric.labels, *(["le"] if suffix == "_bucket" else [])}
    for metric in TABLE
    for suffix in (["_bucket", "_sum", "_count"] if metric.kind is Kind.HISTOGRAM else [""])
}
#: Every label that a series of gridq can have; Prometheus adds the first two.
LABELS = {"job", "instance"}.union(*SERIES.values())

_WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}
_STRINGS = re.compile(r'"(?:\\.|[^"\\])*"')
_MATCHERS = re.compile(r"\{[^}]*\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_RANGES = re.compile(r"\[[^]]*\]")
_NAMES = re.compile(r"(?<![\w:$.])([a-zA-Z_:][\w:]*)(?!\s*\(|[\w:])")


def _bare(expression: str) -> str:
    return _STRINGS.sub('""', expression)


def metrics_of(expression: str) -> set[str]:
    """The name of every metric in it."""
    rest = _bare(expression)
    for part in (_MATCHERS, _RANGES, _GROUPING):
        rest = part.sub(" ", rest)
    return set(_NAMES.findall(rest)) - _WORDS


def labels_of(expression: str) -> set[str]:
    """The name of every label in it: those that are matched and those by which it groups."""
    return set(_labels(_bare(expression)))


def _labels(expression: str) -> Iterator[str]:
    for matchers in _MATCHERS.findall(expression):
        yield from re.findall(r"(\w+)\s*(?:=|!)", matchers)
    for names in _GROUPING.findall(expression):
        yield from re.findall(r"\w+", names)
