"""What goes into a pipe has no spaces at the ends of its lines."""

from __future__ import annotations

import pytest
from made_up import gpu, record, worker
from rich.console import RenderableType
from rich.text import Text
from test_tasks_listing import answer

from gridq.cli import doctor, explain, gpus, show_view
from gridq.cli.look import console, table
from gridq.doctor.finding import ok, warning
from gridq.doctor.report import Report
from gridq.store.gpus import gpu_rows

FINDINGS = {"broker": [ok("version", "redis 7.4"), warning("latency", "far", "near", "move it")]}


@pytest.mark.parametrize(
    "what",
    [
        show_view.render(answer(state="running", worker="gpu0@node1")),
        explain.render(explain.explain(record(), [worker(gpus=(gpu(),))], 1005.0)),
        doctor.render(Report(FINDINGS)),
        table(gpus.COLUMNS, gpu_rows([worker()]), 200),
        Text("  words  \n\n  more "),
    ],
    ids=["show", "explain", "doctor", "gpus", "text"],
)
def test_a_pipe_gets_no_spaces_at_the_ends_of_lines(what: RenderableType, capsys: pytest.CaptureFixture[str]) -> None:
    console().print(what)
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) > 2
    assert lines == [line.rstrip() for line in lines]
    assert any(line.startswith("  ") or "  " in line for line in lines)
