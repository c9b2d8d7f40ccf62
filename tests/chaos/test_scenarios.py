"""The short form of the scenarios, on gridq: leases of 2 s, few tasks, one fleet for as many as leave it whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gridq.broker.server import find_program
from gridq.errors import BrokerError

from . import crashes, hardware, hours, messages, outages, partitions, storage
from .scenario import SCENARIOS, conduct, make_stage
from .stage import SHORT, Stage

PLAYED = (crashes, hours, messages, hardware, partitions, outages, storage)
#: Those that need no root, no further program and not much time.
QUICK = (
    "child",
    "worker",
    "fleet",
    "frozen-worker",
    "long-task",
    "countdown",
    "retry",
    "poison",
    "publisher",
    "rubbish",
    "restart",
    "short-pause",
    "long-pause",
    "xid",
)
#: What is still to be built: the name of the scenario, and what is missing.
MISSING: dict[str, str] = {}


@pytest.fixture(scope="module")
def stage() -> Iterator[Callable[[], Stage]]:
    """The stage of all these tests; a test that fails leaves a new one to the next."""
    try:
        find_program()
    except BrokerError as error:
        pytest.skip(f"no broker for the tests: {error}")
    living: list[Stage] = []

    def current(*, anew: bool = False) -> Stage:
        if living and anew:
            living.pop().end()
        if not living:
            living.append(make_stage(SCENARIOS["child"], "gridq", SHORT))
        return living[0]

    yield current
    for each in living:
        each.end()


@pytest.mark.chaos
@pytest.mark.parametrize("name", [name for name in SCENARIOS if "gridq" in SCENARIOS[name].sides])
def test_nothing_is_lost_and_nothing_runs_twice(
    name: str, stage: Callable[..., Stage], request: pytest.FixtureRequest
) -> None:
    if name not in QUICK:
        pytest.skip("only in the long form: make chaos")
    if name in MISSING:
        request.applymarker(pytest.mark.xfail(reason=MISSING[name], strict=False))
    played = stage()
    tally = conduct(SCENARIOS[name], played, seed=1)
    if not tally.clean:
        said = played.last_words()
        stage(anew=True)
        pytest.fail("\n".join([str(tally), *tally.details, said]))
