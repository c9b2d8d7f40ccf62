"""`gridq alive`: do the workers of this node hold their leases? For health checks of containers and services."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gridq.cli.look import emit_json
from gridq.cli.session import Session, pass_session
from gridq.errors import GridqError


@click.command(name="alive", epilog="Example:  gridq alive gpu0 gpu1")
@click.argument("names", metavar="[WORKER]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, names: Sequence[str], as_json: bool) -> None:
    """Whether workers of this node live: those named (gpu0, or gpu0@node1), else at least one.

    A worker lives while it renews its lease, also with a sick GPU, drained, or busy: nothing that a restart would mend.
    """
    from gridq.store import workers

    node = session.settings.node
    wanted = [name if "@" in name else f"{name}@{node}" for name in names]
    with session.store() as client:
        living = [worker.name for worker in workers.living(client) if worker.node == node or worker.name in wanted]
    missing = [name for name in wanted if name not in living]
    if as_json:
        emit_json({"node": node, "alive": living, "missing": missing})
    elif living:
        click.echo("\n".join(living))
    if missing or not living:
        raise GridqError(
            f"expected {' and '.join(missing) or f'a worker of {node}'} to live, got {', '.join(living) or 'none'}",
            hint="its log says why; gridq status shows the rest of the fleet",
        )
