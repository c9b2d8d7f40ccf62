"""`gridq cluster`: the fleet of an Ansible inventory, set up, looked at and drained from here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from gridq.cli.look import Column, Row, console, emit_json, table
from gridq.cli.playbooks import find

COLUMNS = (
    Column("host", lambda row: row["host"]),
    Column("unit", lambda row: row["unit"]),
    Column("state", lambda row: f"{row['active']} ({row['sub']})"),
)


def _placed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The two options that say which fleet, and by which playbooks."""
    inventory = click.option(
        "-i",
        "--inventory",
        required=True,
        type=click.Path(path_type=Path),
        metavar="INVENTORY",
        help="Ansible's inventory of the fleet.",
    )
    playbooks = click.option(
        "--playbooks",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The folder with site.yml. [default: the one that came with gridq]",
    )
    return inventory(playbooks(function))


@click.group(name="cluster", epilog="Example:  gridq cluster install -i inventory.yml")
def command() -> None:
    """The machines of an Ansible inventory: set them up, look at them, drain them.

    It runs the playbooks that came with gridq over ssh; this machine needs ansible-playbook, and no way to Redis.
    """


@command.command(
    name="install",
    epilog="Example:  gridq cluster install -i inventory.yml -- --check --diff",
    context_settings={"ignore_unknown_options": True},
)
@_placed
@click.argument("arguments", metavar="[-- ANSIBLE-OPTIONS]", nargs=-1, type=click.UNPROCESSED)
def install_command(inventory: Path, playbooks: Path | None, arguments: tuple[str, ...]) -> None:
    """Make every machine what the inventory says: ansible-playbook site.yml.

    A second run changes nothing. Exit status: Ansible's; 0 all is done, 2 something failed, 4 a machine is unreachable.
    """
    find(playbooks, inventory).become("site", arguments)


@command.command(name="status", epilog="Example:  gridq cluster status -i inventory.yml")
@_placed
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status_command(inventory: Path, playbooks: Path | None, as_json: bool) -> None:
    """The services of each machine, and what gridq status says of the fleet.

    Exit status: 0 all is well, 1 something is not (it says what).
    """
    seen = find(playbooks, inventory).report("status", {})
    wrong = problems(seen)
    if as_json:
        emit_json({**seen, "problems": wrong, "ok": not wrong})
    else:
        _show(seen, wrong)
    click.get_current_context().exit(1 if wrong else 0)


def problems(seen: Row) -> list[str]:
    """What a person should look at, one sentence each; empty when all is well."""
    found = [f"{host['host']} cannot be reached" for host in seen["hosts"] if not host["reachable"]]
    for row in _units(seen):
        # A oneshot that has done its work is active too; what is inactive was stopped by somebody or never started.
        if row["active"] != "active":
            found.append(f"{row['host']}: {row['unit']} is {row['active']}")
    if seen["fleet"] is None:
        found.append(f"gridq status: {seen['error']}")
    else:
        found += seen["fleet"]["problems"]
    return found


def _units(seen: Row) -> list[Row]:
    return [{"host": host["host"], **unit} for host in seen["hosts"] for unit in host["units"]]


def _show(seen: Row, wrong: Sequence[str]) -> None:
    from gridq.cli.status import headline

    out = console()
    if seen["fleet"] is not None:
        out.print(headline(seen["fleet"]))
        out.print()
    out.print(table(COLUMNS, _units(seen), out.width))
    out.print()
    for problem in wrong:
        out.print(f"! {problem}", style="red")
    if not wrong:
        out.print("all is well", style="green")


@command.command(name="drain", epilog="Example:  gridq cluster drain -i inventory.yml node1 --deadline 10m --wait")
@_placed
@click.argument("names", metavar="NODE...", nargs=-1, required=True)
@click.option("--deadline", metavar="TIME", help="What still runs then is ended and goes back to its queue: 10m.")
@click.option("--wait", is_flag=True, help="Wait until nothing runs there any more.")
def drain_command(
    inventory: Path, playbooks: Path | None, names: tuple[str, ...], deadline: str | None, wait: bool
) -> None:
    """Let nodes or workers finish what they run, and take no more: gridq drain, as the fleet's operator.

    It holds until they are undrained: gridq undrain, on the first host of the inventory's group redis.
    """
    words = ["drain", *names]
    if deadline:
        words += ["--deadline", deadline]
    if wait:
        words += ["--wait"]
    done = find(playbooks, inventory).report("command", {"gridq_command": words})
    click.echo(done["stdout"], nl=bool(done["stdout"]))
    if done["status"]:
        # It has said `error:` and `hint:` itself.
        click.echo(done["stderr"], err=True)
        raise click.exceptions.Exit(done["status"])
