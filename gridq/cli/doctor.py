"""`gridq doctor`: what is wrong or risky, on which evidence, and what to do about it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gridq.cli.look import console, count, emit_json
from gridq.cli.session import Session, pass_session
from gridq.errors import BrokerError, GridqError

if TYPE_CHECKING:
    from gridq.doctor.finding import Finding
    from gridq.doctor.report import Report
    from gridq.store.workers import WorkerStatus

#: Exit statuses; 2 is "there is no broker" in every command.
_STATUS = {"ok": 0, "note": 0, "warning": 1, "error": 3}
_NO_BROKER = 2
_MARKS = {"ok": ("✓", "green"), "note": ("·", "cyan"), "warning": ("!", "yellow"), "error": ("✗", "red")}
#: A rack that is down is hundreds of GPUs, each with the same to say.
_MOST_ALIKE = 5
#: Room for the longest name of a check.
_NAME = 14


@click.command(name="doctor", epilog="Example:  gridq doctor --json | jq '.findings[] | select(.severity != \"ok\")'")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
@pass_session
def command(session: Session, context: click.Context, as_json: bool) -> None:
    """What is wrong or risky with broker, fleet, app and this machine, and what to do about it.

    Exit status: 0 all is well, or only notes; 1 warnings; 3 errors; 2 there is no broker (the rest is checked all the
    same).
    """
    report = diagnose(session)
    if as_json:
        emit_json(report.to_dict())
    else:
        console().print(render(report))
    context.exit(_STATUS[report.worst.value] if report.has_broker else _NO_BROKER)


def diagnose(session: Session) -> Report:
    """Look at everything."""
    from gridq.doctor import facts
    from gridq.doctor.report import Report

    report = Report()
    app, settings = session.app, session.settings
    living: list[WorkerStatus] = []
    try:
        with session.store() as client:
            report.add(facts.of_broker(client, settings, session.broker_url or ""))
            fleet = facts.of_fleet(client, settings)
            report.add(fleet)
            living.extend(fleet.living)
    except GridqError as error:
        report.broke_off(error.message, error.hint or "")
        report.has_broker = not isinstance(error, BrokerError)
    report.add(facts.of_app(app))
    report.add(facts.of_machine(settings, living))
    return report


def render(report: Report) -> RenderableType:
    """The whole report, topic by topic."""
    parts: list[RenderableType] = []
    for topic, found in report.findings.items():
        parts += [Text(topic, style="bold"), _table(found), ""]
    return Group(*parts, _closing(report))


def _table(found: list[Finding]) -> Table:
    made = Table.grid(padding=(0, 1, 0, 0))
    made.add_column(width=3, justify="right")
    made.add_column(width=_NAME, no_wrap=True, overflow="ellipsis")
    made.add_column(overflow="fold")
    for (check, severity), group in groupby(found, key=lambda finding: (finding.check, finding.severity)):
        mark, colour = _MARKS[severity.value]
        alike = list(group)
        for finding in alike[:_MOST_ALIKE]:
            made.add_row(Text(mark, style=colour), check, _said(finding), style="dim" if mark == "✓" else "")
        rest = len(alike) - _MOST_ALIKE
        if rest > 0:
            made.add_row(Text(mark, style=colour), check, Text(f"and {rest} more like these; --json has them all"))
    return made


def _said(finding: Finding) -> Text:
    text = Text(finding.evidence)
    if finding.expected:
        text.append(f"\nexpected {finding.expected}")
    if finding.hint:
        text.append("\nhint: ", style="cyan").append(finding.hint)
    return text


def _closing(report: Report) -> Text:
    nouns = {"error": "error", "warning": "warning", "note": "note"}
    counts = {severity.value: number for severity, number in report.counts.items()}
    told = [count(counts[name], noun) for name, noun in nouns.items() if counts.get(name)]
    checked = f"{count(counts.get('ok', 0), 'check')} passed"
    if not told:
        return Text(f"all is well: {checked}", style="green")
    return Text(", ".join(told) + f"; {checked}", style=_MARKS[report.worst.value][1])
