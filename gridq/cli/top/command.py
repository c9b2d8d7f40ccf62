"""`gridq top`, as it is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gridq.cli.look import console, emit_json
from gridq.cli.session import Session, pass_session
from gridq.errors import GridqError

if TYPE_CHECKING:
    from gridq.cli.top.picture import Picture


@click.command(name="top", epilog="Example:  gridq top   (a pipe gets one look: gridq top | less)")
@click.option("--json", "as_json", is_flag=True, help="Print one look as JSON.")
@pass_session
def command(session: Session, as_json: bool) -> None:
    """Watch the whole fleet: each GPU, what it runs, and why each task that waits does.

    Keys: arrows select, Enter shows all of a task, / filters, s sorts, c cancels, d drains, ? says more, q quits.
    Where there is no terminal it prints one look.
    """
    from gridq.cli.top import picture, plain

    with session.store() as client:
        first = picture.take(client)
    if as_json:
        emit_json(first.to_dict())
        return
    out = console()
    if not out.is_terminal or out.is_dumb_terminal:
        out.print(plain.render(first, out.width))
        return
    watch(session, first)


def watch(session: Session, first: Picture) -> None:
    """Show the fleet until somebody quits.

    Raises:
        GridqError: when there is nothing to draw a screen with.
    """
    try:
        from gridq.cli.top.app import Top
    except ImportError as error:
        raise GridqError(
            f"expected textual to be installed, got: {error}",
            hint="pip install 'gridq[monitor]'; gridq status --watch needs no more than gridq has",
        ) from error
    Top(session, first).run()
