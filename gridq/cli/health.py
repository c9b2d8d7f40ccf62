"""`gridq health`: one line per node, the lightest first."""

from __future__ import annotations

import click

from gridq.cli.fleet import node_rows
from gridq.cli.look import UNKNOWN, Column, bar, console, emit_json, known, memory, table, verdict
from gridq.cli.session import Session, pass_session

COLUMNS = (
    Column("node", lambda row: row["node"]),
    Column("verdict", lambda row: verdict(row["verdict"]) if row["verdict"] else "no GPU"),
    Column("GPUs", lambda row: str(row["gpus"]), right=True),
    Column("CPU load", lambda row: bar(row["cpu_load"], 6).append(f" {row['cpu_load']:.0%}", style="default")),
    Column("GPU memory", lambda row: memory(row) if row["gpus"] else UNKNOWN),
    Column("run", lambda row: str(row["running"]), right=True),
    Column("score", lambda row: known(row["score"], "{:.2f}"), right=True),
    Column("age", lambda row: f"{row['age']:.1f}s", width=90, right=True),
)


@click.command(name="health", epilog="Example:  gridq health --json | jq -r '.[0].node'")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, as_json: bool) -> None:
    """One line per node: CPU load, GPU memory, verdict, score. The lightest comes first.

    The score is cpu_weight × CPU load + gpu_weight × GPU load of the node's lightest GPU that takes work.
    """
    from gridq.store import workers

    with session.store() as client:
        rows = node_rows(workers.living(client))
    if as_json:
        emit_json(rows)
        return
    out = console()
    if not rows:
        out.print("no node: no worker is alive")
        out.print("hint: gridq up starts all of this machine", style="dim")
        return
    out.print(table(COLUMNS, rows, out.width))
    for row in rows:
        for reason in row["reasons"]:
            out.print(f"{row['node']}: {reason}", style="dim")
        if row["draining"]:
            out.print(f"{row['node']}: draining: {', '.join(row['draining'])}", style="dim")
