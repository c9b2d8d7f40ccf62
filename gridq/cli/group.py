"""The group of commands: each is imported when it is asked for, and errors are told in one way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any, NoReturn

import click

from gridq.errors import BrokerError, GridqError, suggestion

#: Command → module in this package, and what `gridq --help` says of it: importing them all would make it slow.
COMMANDS = {
    "up": ("up", "Start all of this machine: broker, GPU workers, CPU worker."),
    "demo": ("demo", "Watch a search run on GPUs, real or simulated, and leave nothing behind."),
    "status": ("status", "Broker, workers, queues, GPUs: is all well?"),
    "top": ("top.command", "Watch the whole fleet: GPUs, tasks, why each waits; cancel and drain."),
    "gpus": ("gpus", "One line per GPU: memory, load, temperature, verdict."),
    "health": ("health", "One line per node, the lightest first."),
    "tasks": ("tasks", "One line per task: state, times, why it waits or how it ended."),
    "show": ("show", "Everything about one task: times, GPU, memory, progress, result."),
    "explain": ("explain", "Where a task is, and why."),
    "logs": ("logs", "What a task prints, while it runs and after."),
    "cancel": ("cancel", "End tasks, whether they wait or run."),
    "history": ("history", "What the fleet did: tasks, throughput, GPUs, over time."),
    "alive": ("alive", "Do the workers of this node live? For health checks."),
    "doctor": ("doctor", "What is wrong or risky, and what to do about it."),
    "drain": ("drain", "Let workers or nodes finish what they run, and take no more."),
    "undrain": ("undrain", "Let them take tasks again."),
    "dead": ("dead", "Tasks that no worker could end: list, retry, drop."),
    "flower": ("flower", "Flower, Celery's web page, with a page of GPUs."),
    "exporter": ("exporter", "Show Prometheus the fleet, on port 9470."),
    "metrics": ("metrics", "Print what Prometheus would be shown now."),
    "acl": ("acl", "Print what producers, workers, monitors and operators may do in Redis."),
    "cluster": ("cluster", "The machines of an Ansible inventory: install, status, drain."),
    "config": ("config", "Show the settings and where they came from, or check a file."),
}

#: As shells say of a program that Ctrl-C ended.
INTERRUPTED = 130


class Failure(click.ClickException):
    """A GridqError on its way to the terminal."""

    exit_code = 1

    def __init__(self, error: GridqError) -> None:
        super().__init__(error.message)
        self.hint = error.hint

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error, and what to do about it on a line of its own."""
        click.echo(f"{click.style('error:', fg='red')} {self.message}", file=file, err=True)
        if self.hint:
            click.echo(f"{click.style('hint:', fg='cyan')} {self.hint}", file=file, err=True)


class NoBrokerFailure(Failure):
    """There is no broker: a status of its own, so that scripts can tell it from a sick GPU."""

    exit_code = 2


class WrongCommandFailure(Failure):
    """There is no such command; the status is the one that click has for wrong command lines."""

    exit_code = 2


class Gridq(click.Group):
    """Commands by name, loaded late, with did-you-mean."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, its module imported."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"gridq.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands for --help, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Click's, but an unknown command is met with the nearest known one."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            _unknown(args[0])
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Click's, with its errors told as ours are."""
        with _usage_told():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; every GridqError becomes two lines on stderr and an exit code."""
        try:
            with _usage_told():
                return super().invoke(ctx)
        except GridqError as error:
            raise (NoBrokerFailure if isinstance(error, BrokerError) else Failure)(error) from error
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@contextmanager
def _usage_told() -> Iterator[None]:
    """What click says of a wrong command line, as `error:` and `hint:`."""
    try:
        yield
    except click.UsageError as error:
        # Newer versions of click show the help of a group without a command by an error of this kind.
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            raise
        said = error.format_message()
        hint = f"see {error.ctx.command_path if error.ctx else 'gridq'} --help"
        raise WrongCommandFailure(GridqError(said[:1].lower() + said[1:].rstrip("."), hint=hint)) from error


def _unknown(name: str) -> NoReturn:
    hint = suggestion(name, COMMANDS) or "see gridq --help"
    raise WrongCommandFailure(GridqError(f"expected a command ({', '.join(COMMANDS)}), got {name!r}", hint=hint))
