"""The list of scenarios, and how one of them is played for one side."""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace

from .play import Play
from .sides import SIDES
from .stage import Stage, Timing
from .tally import Tally


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way to break things.

    Attributes:
        name: for `--only`.
        title: what is broken, as the table says it.
        run: plays it.
        patience: seconds after the end of `run` in which all tasks must have ended, in the long form.
        recovery: the longest recovery allowed to gridq, as leases and seconds; None where nothing is promised.
        visibility: stock Celery's visibility timeout, seconds; None leaves it at its default, an hour.
        lease: of gridq's workers, if the scenario needs a certain one.
        needs: programs that must be there; `root` for its rights.
        sides: who can play it.
        grace: see `tally.count`.
        keeping: how Redis keeps its data.
        loses: words for what gridq may lose here, as is documented; "" for nothing.
        own: whether it begins the stage itself, with another server than a plain one.
    """

    name: str
    title: str
    run: Callable[[Play], None]
    patience: float = 40.0
    recovery: tuple[float, float] | None = None
    visibility: float | None = None
    lease: float | None = None
    needs: tuple[str, ...] = ()
    sides: tuple[str, ...] = ("gridq", "stock")
    grace: float = 0.0
    keeping: str = "everysec"
    loses: str = ""
    own: bool = False

    def missing(self) -> str:
        """What this machine lacks for it; empty if nothing."""
        if "root" in self.needs and os.geteuid() != 0:
            return "root's rights"
        return ", ".join(name for name in self.needs if name != "root" and not shutil.which(name))

    def timing(self, timing: Timing) -> Timing:
        """The form, with the scenario's own lease where it has one."""
        if self.lease is None:
            return timing
        return replace(timing, lease=self.lease, heartbeat=self.lease / 5)

    def limit(self, timing: Timing) -> float | None:
        """Seconds within which gridq must have recovered."""
        if self.recovery is None:
            return None
        leases, seconds = self.recovery
        # The short form runs beside other tests, on whatever machine.
        return leases * self.timing(timing).lease + seconds + timing.pick(1.0, 0.0)


SCENARIOS: dict[str, Scenario] = {}


def scenario(title: str, **words: object) -> Callable[[Callable[[Play], None]], Callable[[Play], None]]:
    """Enter a function into the list, under its name."""

    def enter(run: Callable[[Play], None]) -> Callable[[Play], None]:
        name = run.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, title, run, **words)  # type: ignore[arg-type]
        return run

    return enter


def make_stage(played: Scenario, side: str, timing: Timing) -> Stage:
    """The stage that a scenario asks for, not begun."""
    return Stage(
        SIDES[side],
        played.timing(timing),
        visibility=played.visibility,
        keeping=played.keeping,
    )


def conduct(played: Scenario, stage: Stage, seed: int) -> Tally:
    """Play a scenario on a stage; what it raises becomes part of the tally."""
    timing = stage.timing
    patience = timing.pick(15.0, played.patience)
    play = Play(stage, seed, patience, played.grace)
    try:
        if not stage.begun and not played.own:
            stage.begin()
        played.run(play)
        tally = play.finish()
    except (AssertionError, TimeoutError, RuntimeError, StopIteration, OSError) as error:
        tally = play.finish()
        tally.details.append(f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}")
    limit = played.limit(timing)
    if stage.side.name == "gridq" and limit is not None and (tally.recovery is None or tally.recovery > limit):
        tally.details.append(f"recovered after {tally.recovery} s, more than {limit:g} s")
    return tally
