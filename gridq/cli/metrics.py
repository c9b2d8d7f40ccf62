"""`gridq metrics`: what the exporter shows, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gridq.cli.extras import extra
from gridq.cli.look import Row, emit_json
from gridq.cli.session import Session, pass_session
from gridq.version import VERSION

if TYPE_CHECKING:
    from gridq.exporter.look import Look


@click.command(name="metrics", epilog="Example:  gridq metrics | grep gridq_tasks_waiting")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, as_json: bool) -> None:
    """Print what Prometheus would be shown now, in its text format."""
    with extra("monitor", "prometheus-client"):
        from gridq.exporter.scrape import text_of
    from gridq.exporter.look import look

    with session.store() as client:
        seen = look(client)
    if as_json:
        emit_json(rows(seen))
    else:
        click.echo(text_of(seen, VERSION).decode(), nl=False)


def rows(seen: Look) -> list[Row]:
    """The families as plain types: name, kind, help, samples."""
    from gridq.exporter.collector import families
    from gridq.exporter.metrics import TABLE

    names = {
        metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name: metric for metric in TABLE
    }
    found = []
    for family in families(seen, VERSION):
        samples = [{"name": each.name, "labels": each.labels, "value": each.value} for each in family.samples]
        metric = names[family.name]
        found.append({"name": metric.name, "kind": metric.kind.value, "help": metric.help, "samples": samples})
    return found
