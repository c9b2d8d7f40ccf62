"""The doctor's report is short where all is well, and says evidence, expectation and remedy where it is not."""

from __future__ import annotations

import io

from rich.console import Console

from gridq.cli.doctor import render
from gridq.doctor.finding import Finding, error, note, ok, warning
from gridq.doctor.report import Report


def shown(*findings: Finding, width: int = 80) -> str:
    """What a terminal shows of these findings about the broker."""
    out = Console(file=io.StringIO(), width=width)
    out.print(render(Report({"broker": list(findings)})))
    return str(out.file.getvalue())  # type: ignore[attr-defined]


def test_a_finding_has_its_evidence_what_was_expected_and_the_remedy() -> None:
    text = shown(error("eviction", "maxmemory-policy allkeys-lru", "noeviction", "redis-cli CONFIG SET …"))
    lines = [line.strip() for line in text.splitlines()]
    assert lines[:4] == [
        "broker",
        "✗ eviction       maxmemory-policy allkeys-lru",
        "expected noeviction",
        "hint: redis-cli CONFIG SET …",
    ]


def test_what_is_well_takes_a_line() -> None:
    lines = [line.rstrip() for line in shown(ok("version", "redis 7.4"), ok("memory", "1MiB")).splitlines()]
    assert lines == [
        "broker",
        "  ✓ version        redis 7.4",
        "  ✓ memory         1MiB",
        "",
        "all is well: 2 checks passed",
    ]


def test_the_last_line_counts_and_the_worst_decides() -> None:
    report = Report({"broker": [ok("a", "b"), warning("c", "d", "e", "f"), note("g", "h"), note("i", "j")]})
    assert report.worst.value == "warning"
    assert "1 warning, 2 notes; 1 check passed" in shown(*report.findings["broker"])


def test_many_of_a_kind_are_told_in_a_few_lines() -> None:
    text = shown(*(error("GPUs", f"GPU {index} is lost", "healthy", "dmesg") for index in range(500)))
    assert "GPU 4 is lost" in text and "GPU 5 is lost" not in text
    assert "and 495 more like these; --json has them all" in text
    assert "500 errors" in text


def test_long_evidence_keeps_to_its_column() -> None:
    text = shown(warning("latency", "far " * 60, "near", "move it"))
    assert max(map(len, text.splitlines())) <= 80
    assert all(line.startswith(" " * 19) for line in text.splitlines()[2:-4] if line.strip())
