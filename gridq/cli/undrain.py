"""`gridq undrain NAME…`: workers or nodes take tasks again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gridq.cli.look import console, emit_json
from gridq.cli.session import Session, pass_session
from gridq.errors import GridqError, suggestion

if TYPE_CHECKING:
    from gridq.store.client import Client


@click.command(name="undrain", epilog="Example:  gridq undrain node1")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, names: tuple[str, ...], as_json: bool) -> None:
    """Let what was drained take tasks again, from its next heartbeat on."""
    with session.store() as client:
        for name in names:
            undrain(client, name)
    if as_json:
        emit_json([{"name": name, "draining": False} for name in names])
        return
    for name in names:
        console().print(f"{name} takes tasks again")


def undrain(client: Client, name: str) -> None:
    """Let it take tasks again.

    Raises:
        GridqError: when it is not drained, or only together with its node.
    """
    from gridq.store import drains, workers

    if drains.undrain(client, name):
        return
    told = list(drains.drained(client))
    node = next((one.node for one in workers.living(client) if one.name == name and one.node in told), None)
    if node:
        raise GridqError(f"{name} is drained because all of {node} is", hint=f"gridq undrain {node}")
    hint = suggestion(name, told) or f"drained now: {', '.join(told) or 'nothing'}"
    raise GridqError(f"expected a drained worker or node, got {name!r}", hint=hint)
