"""The entry points: the console script `gridq`, and the command that Celery mounts under its own."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gridq.cli.group import Gridq
from gridq.cli.session import Session
from gridq.logs.stderr import log_to_stderr
from gridq.version import VERSION

#: Celery's own option is named the same, so people know it.
_HELP_A = "An app of your own, as Celery's -A takes it. Default: gridq's, whose tasks the setting `tasks` names."
_log_level = click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], case_sensitive=False),
    metavar="LEVEL",
    help="DEBUG, INFO, WARNING, ERROR or CRITICAL: from there on it is logged, on stderr (default: WARNING) and by the "
    "workers that `up` starts (default: INFO).",
)


@click.group(cls=Gridq, name="gridq", epilog="Example:  gridq demo")
@click.option("-A", "--app", "spec", metavar="APP", default="gridq", help=_HELP_A)
@click.option("--config", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A gridq.yaml.")
@_log_level
@click.version_option(VERSION, prog_name="gridq")
@click.pass_context
def main(context: click.Context, spec: str, file: Path | None, log_level: str | None) -> None:
    """Celery on Redis, made to understand GPUs."""
    if file is not None:
        # In the environment, so that the workers that `up` starts read it too.
        os.environ["GRIDQ_CONFIG"] = str(file.absolute())
    log_to_stderr(log_level or "WARNING")
    context.obj = Session(spec, log_level=log_level)


@click.group(cls=Gridq, name="gridq", epilog="Example:  celery -A gridq gridq status")
@_log_level
@click.pass_context
def celery_command(context: click.Context, log_level: str | None) -> None:
    """GPUs: status, gpus, health, explain, up and more."""
    spec = context.parent.params.get("app") if context.parent else None
    # Celery hands on the app itself where a program starts it from within.
    log_to_stderr(log_level or "WARNING")
    app = context.obj.app if spec else None
    context.obj = Session(spec if isinstance(spec, str) else "gridq", app, log_level=log_level)
