"""`gridq history`: what the fleet did, from the samples that its workers took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gridq.cli.look import UNKNOWN, console, emit_json
from gridq.cli.options import seconds
from gridq.cli.session import Session, pass_session
from gridq.knobs import written

if TYPE_CHECKING:
    from gridq.cli.timeline import Stats, Timeline

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"
#: Columns of a terminal that titles and numbers take.
_BESIDE = 42
#: Columns of bars in a pipe, or on a very wide terminal.
_MOST_BARS = 96
_STEPS = (60, 120, 300, 600, 900, 1200, 1800, 2400, 3600, 7200, 10800, 14400, 21600, 43200, 86400)
_MOST_STEPS = 20_000

_Form = Callable[[float], str]


def _count(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) or number >= 100 else f"{number:.3g}"


_SHARE, _WATTS = "{:.0%}".format, "{:,.0f}W".format
#: Series → title, how its numbers are written, and the number at which its bar is full; None for its own most.
_ROWS: dict[str, tuple[str, _Form, float | None]] = {
    "running": ("running", _count, None),
    "waiting": ("waiting", _count, None),
    "done_per_minute": ("done a minute", _count, None),
    "failed_per_minute": ("failed a minute", _count, None),
    "gpus_busy": ("GPUs busy", _count, None),
    "gpus_out": ("GPUs out", _count, None),
    "utilization": ("utilization", _SHARE, 1.0),
    "memory": ("GPU memory", _SHARE, 1.0),
    "power": ("power", _WATTS, None),
}


@click.command(name="history", epilog="Example:  gridq history --since 7d --step 1h --json | jq '.whole.utilization'")
@click.option("--since", metavar="TIME", default="24h", callback=seconds, show_default=True, help="From when on: 7d.")
@click.option("--step", metavar="TIME", callback=seconds, help="Time in one column; default: what the width allows.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; times in seconds, shares from 0 to 1.")
@pass_session
def command(session: Session, since: float, step: float | None, as_json: bool) -> None:
    """What the fleet did: tasks, throughput, GPUs, from one sample a minute. `·` is a time without samples.

    Samples are kept for as long as the setting `samples_ttl` says.
    """
    from gridq.cli.timeline import Timeline
    from gridq.store import samples

    check_step(since, step)
    with session.store() as client:
        now = client.now()
        found = samples.read(client, now - since)
    out = console()
    # Of a fleet that is younger than that, all is to be seen.
    begin = found[0].at if found else now - since
    bars = min(_MOST_BARS, max(8, out.width - _BESIDE))
    if as_json:
        emit_json(Timeline.of(found, begin, now, step or fitting_step(now - begin, bars)).to_dict())
        return
    if not found:
        out.print(f"no samples of the last {written(since)}")
        out.print(f"hint: {why_none(session.settings.samples_ttl)}", style="dim")
        return
    out.print(render(Timeline.of(found, begin, now, shown_step(step, now - begin, bars)), now))


def check_step(since: float, step: float | None) -> None:
    """Refuse what cannot be shown."""
    if not since or step == 0:
        raise click.UsageError("expected --since and --step to be more than 0s")
    if step and since / step > _MOST_STEPS:
        raise click.UsageError(f"expected at most {_MOST_STEPS} steps, got {since / step:.0f}; make --step longer")


def why_none(life: float) -> str:
    """What to do where there are no samples."""
    if not life:
        return "samples_ttl is 0, so workers take none; set it to 168h, say"
    return "a worker takes one a minute; gridq status shows whether one is alive"


def fitting_step(span: float, bars: int) -> float:
    """The shortest round step of which so many cover the span."""
    return next((step for step in _STEPS if span <= step * bars), span / bars)


def shown_step(step: float | None, span: float, bars: int) -> float:
    """The step that was asked for, or as many times that as the width makes necessary."""
    return step * max(1, -int(-span // (step * bars))) if step else fitting_step(span, bars)


def render(timeline: Timeline, now: float) -> RenderableType:
    """The whole listing."""
    made = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    made.add_column("")
    made.add_column("", no_wrap=True)
    for title in ("min", "mean", "max"):
        made.add_column(title, justify="right", no_wrap=True)
    for name, (title, form, full) in _ROWS.items():
        whole = timeline.whole(name)
        if whole is None and name == "power":
            continue
        numbers = [UNKNOWN] * 3 if whole is None else [form(value) for value in (whole.min, whole.mean, whole.max)]
        made.add_row(title, sparkline(timeline.steps(name), full), *numbers)
    missing = sum(not points for points in timeline.points)
    parts = [f"{_clock(timeline.begin)} – {_clock(now)}", f"a column is {written(timeline.step)}"]
    if missing:
        parts.append(f"no samples in {missing} of {len(timeline.points)}")
    return Group(Text(" · ".join(parts), style="dim"), "", made)


def sparkline(steps: Sequence[Stats | None], full: float | None = None) -> Text:
    """A bar for the mean of each step, a dot where there is none.

    Args:
        full: what fills a bar; None for the largest mean.
    """
    most = full or max((stats.mean for stats in steps if stats), default=0.0)
    line = Text()
    for stats in steps:
        if stats is None:
            line.append(_GAP, style="dim")
        else:
            share = min(1.0, stats.mean / most) if most else 0.0
            # Only nothing at all lies at the bottom.
            height = 0 if not share else max(1, round(share * (len(_BARS) - 1)))
            line.append(_BARS[height], style="cyan")
    return line


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%d %b %H:%M")
