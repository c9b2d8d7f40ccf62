"""`gridq config`: what is set, and where that came from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from gridq import config
from gridq.cli.look import Column, Row, console, emit_json, headed, table
from gridq.errors import ConfigError

COLUMNS = (
    Column("setting", lambda row: row["name"]),
    Column("value", lambda row: row["value"]),
    Column("from", lambda row: row["source"]),
    Column("may be", lambda row: row["range"], width=110),
)


@click.group(name="config", epilog="Example:  gridq config show")
def command() -> None:
    """Show the settings and where they came from, or check a file."""


@command.command(name="show", epilog="Example:  GRIDQ_LEASE=30s gridq config show --json")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str | None, as_json: bool) -> None:
    """Every setting with its value and source; with NAME, all about one. Passwords are masked."""
    rows: list[Row] = [asdict(described) for described in config.load().describe()]
    if name is not None:
        rows = [row for row in rows if row["name"] == name]
        if not rows:
            raise ConfigError(f"expected the name of a setting, got {name!r}", hint="gridq config show lists them")
    if as_json:
        emit_json(rows)
        return
    out = console()
    if name is None:
        out.print(table(COLUMNS, rows, out.width))
        return
    for key in ("name", "value", "source", "range", "default", "reason"):
        out.print(headed(key, rows[0][key]))


@command.command(name="check", epilog="Example:  gridq config check gridq.yaml")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.pass_context
def check(context: click.Context, file: Path | None) -> None:
    """Everything that is wrong with FILE (default: ./gridq.yaml, if there is one) and the environment.

    Exit status: 0 nothing, 1 something.
    """
    problems = config.check(file)
    for problem in problems:
        click.echo(f"{click.style('error:', fg='red')} {problem}", err=True)
    if problems:
        context.exit(1)
    click.echo("the settings are fine")
