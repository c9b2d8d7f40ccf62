"""`gridq gpus`: one line per GPU."""

from __future__ import annotations

import click

from gridq.cli.look import Column, Row, console, draining, emit_json, known, memory, table, verdict
from gridq.cli.session import Session, pass_session

COLUMNS = (
    Column("GPU", lambda row: row["worker"].partition("@")[0]),
    Column("node", lambda row: row["node"], width=100),
    Column("uuid", lambda row: short(row["uuid"]), width=116),
    Column("model", lambda row: model(row["model"]), gives=True),
    Column("memory", lambda row: memory(row)),
    Column("util", lambda row: known(row["utilization"], "{:.0%}"), right=True),
    Column("temp", lambda row: known(row["temperature"], "{:.0f}°C"), right=True),
    Column("power", lambda row: known(row["power"], "{:.0f}W"), width=90, right=True),
    Column("verdict", lambda row: draining(verdict(row["verdict"]), row["draining"])),
    Column("run", lambda row: f"{len(row['running'])}/{row['slots']}", right=True),
    Column("task", lambda row: ", ".join(task[:8] for task in row["running"]) or "–", width=130),
)


def short(uuid: str) -> str:
    """Enough of a GPU's uuid to tell it from the others of a node: `GPU-5f3c8a1b`."""
    kind, dash, rest = uuid.partition("-")
    return uuid if kind == "SIM" else f"{kind}{dash}{rest[:8]}"


def model(name: str) -> str:
    """`NVIDIA A100-SXM4-40GB` → `A100-SXM4-40GB`, `Simulated 24GiB` → `sim 24GiB`."""
    return name.removeprefix("NVIDIA ").replace("Simulated", "sim")


@click.command(name="gpus", epilog="Example:  gridq gpus --json | jq '.[] | select(.verdict != \"healthy\")'")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, bytes and degrees Celsius.")
@pass_session
def command(session: Session, as_json: bool) -> None:
    """One line per GPU: memory, load, temperature, verdict, what it runs."""
    from gridq.store import workers
    from gridq.store.gpus import gpu_rows

    with session.store() as client:
        rows = gpu_rows(workers.living(client))
    if as_json:
        emit_json(rows)
        return
    out = console()
    if not rows:
        out.print("no GPU: no living worker holds one")
        out.print("hint: gridq up starts a worker per GPU; gridq up --gpus sim:2x24GiB simulates two", style="dim")
        return
    out.print(table(COLUMNS, rows, out.width))
    for line in reasons(rows):
        out.print(line, style="dim")


def reasons(rows: list[Row]) -> list[str]:
    """Why a GPU is not healthy, one line each."""
    return [f"{row['worker']}: {reason}" for row in rows for reason in row["reasons"]]
