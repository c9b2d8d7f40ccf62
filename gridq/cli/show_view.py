"""What `gridq show` and `gridq top` show of one task."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gridq.cli.explain import witnessed
from gridq.cli.gpus import model
from gridq.cli.look import UNKNOWN, Row, count
from gridq.cli.tasks import progress_cell, span, state_cell
from gridq.needs import describe
from gridq.units import format_bytes, format_seconds


def render(answer: Row) -> RenderableType:
    """All of `show.show`, for people."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for head, cell in _lines(answer):
        if cell:
            grid.add_row(head, cell)
    parts: list[RenderableType] = [grid]
    result = answer["result"]
    if result and result["traceback"]:
        parts += ["", Text("traceback", style="bold"), Text(result["traceback"])]
    parts += [Text(f"! {warning}", style="yellow") for warning in answer["warnings"]]
    parts += [Text(f"hint: gridq logs {answer['id']}\n      gridq explain {answer['id']}", style="dim")]
    return Group(*parts)


def _lines(answer: Row) -> Iterator[tuple[str, Text | str]]:
    yield "task", answer["name"]
    yield "id", answer["id"]
    yield "called", _called(answer)
    yield "state", _state(answer)
    yield "reason", answer["reason"] or ""
    yield from _times(answer["times"], answer["durations"])
    yield "needs", describe(answer["needs"])
    yield "queue", answer["queue"]
    yield "attempts", _attempts(answer)
    yield "GPU", "\n".join(f"{model(gpu['model'] or UNKNOWN)}  {gpu['uuid']}" for gpu in answer["gpus"])
    yield "used", _used(answer)
    if answer["progress"]:
        note = answer["progress"]["note"]
        yield "progress", progress_cell(answer["progress"], 10).append(f"  {note}" if note else "")
    yield "result", _result(answer["result"])
    yield "XIDs", "\n".join(witnessed(note) for note in answer["xids"])


def _called(answer: Row) -> str:
    if answer["args"] is None and answer["kwargs"] is None:
        return ""
    return f"{answer['args'] or '()'} {answer['kwargs'] or '{}'}"


def _state(answer: Row) -> Text:
    state = state_cell(answer["state"])
    return state.append(f" on {answer['worker']}" if answer["worker"] else "", style="default")


def _times(times: dict[str, float], spans: dict[str, float]) -> Iterator[tuple[str, str]]:
    """When it was sent, started and ended; between them how long it waited and ran."""
    told = {
        "sent": (times.get("submitted_at", times.get("waiting_at")), None),
        "due": (times.get("due_at"), f"in {format_seconds(spans['due_in'])}" if "due_in" in spans else None),
        "started": (times.get("started_at"), f"waited {span(spans.get('waited'))}"),
        "ended": (times.get("finished_at"), f"ran {format_seconds(spans['ran'])}" if "ran" in spans else None),
    }
    for head, (at, words) in told.items():
        if at is not None:
            more = words or (f"waiting for {format_seconds(spans['waiting'])}" if "waiting" in spans else "")
            yield head, _moment(at) + (f"  {more}" if more else "")
    if "running" in spans:
        yield "running", f"for {format_seconds(spans['running'])}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def _attempts(answer: Row) -> str:
    told = [str(answer["attempts"])]
    if answer["retries"]:
        told.append(f"retried {count(answer['retries'], 'time')} by itself")
    if answer["requeues"]:
        told.append(f"went back to its queue {count(answer['requeues'], 'time')}")
    if answer["losses"]:
        told.append(f"lost its worker or process {count(answer['losses'], 'time')}")
    return " · ".join(told)


def _used(answer: Row) -> str:
    told = []
    if answer["mean_utilization"] is not None:
        told.append(f"{answer['mean_utilization']:.0%} of the GPU on average")
    if answer["peak_memory"] is not None:
        asked = answer["needs"].get("vram")
        of = f" of {format_bytes(asked)} asked for" if asked else ""
        told.append(f"{format_bytes(answer['peak_memory'])} at most{of}")
    if answer["gpu_seconds"] is not None:
        told.append(f"{answer['gpu_seconds']:,.1f} GPU-seconds")
    return " · ".join(told)


def _result(result: Row | None) -> str:
    if result is None:
        return ""
    if result["unknown"]:
        return f"{UNKNOWN}  {result['unknown']}"
    return f"{result['state']}  {result['result'] or ''}".rstrip()
