"""`gridq top` where there is no terminal: one look."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from gridq.cli import gpus
from gridq.cli.look import count, headed, table
from gridq.cli.tasks import summary
from gridq.cli.top.columns import task_columns
from gridq.cli.top.picture import Picture


def render(picture: Picture, width: int) -> RenderableType:
    """The GPUs, and the tasks that wait with the reason why."""
    parts: list[RenderableType] = [
        headed("fleet", f"{count(len(picture.gpus), 'GPU')} {picture.fleet()}"),
        headed("tasks", summary(picture.totals)),
    ]
    if picture.gpus:
        parts += ["", table(gpus.COLUMNS, picture.gpus, width)]
        parts += [Text(line, style="dim") for line in gpus.reasons(picture.gpus)]
    if picture.tasks:
        parts += ["", table(task_columns(picture.view, width), picture.tasks, width)]
    shown, there = picture.shown_of
    if shown < there:
        parts.append(Text(f"the latest {shown:,} of {there:,} that wait", style="dim"))
    return Group(*parts)
