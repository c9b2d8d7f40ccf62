"""`gridq demo`: a search on the GPUs of this machine, in a world of its own that is gone afterwards."""

from __future__ import annotations

import importlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import gridq
from gridq import config
from gridq.cli.demo_search import Search
from gridq.cli.demo_view import Screen
from gridq.cli.extras import extra
from gridq.cli.interrupts import Interrupts
from gridq.cli.look import console
from gridq.cli.machine import StoppedError, commands, devices_of, local_broker, wait_ready
from gridq.cli.supervisor import Supervisor
from gridq.errors import GridqError, NoGpuError

if TYPE_CHECKING:
    from gridq.config import Settings
    from gridq.store.client import Client

SIMULATED = "sim:2x24GiB,48GiB,80GiB"

#: GPUs are seen to change only if they are read often; nobody else uses this broker.
_SETTINGS = "tasks: [collatz]\nheartbeat: 0.25s\nprobe_interval: 0.25s\n"
_PARTS_PER_GPU, _MOST_PARTS = 12, 60
_REFRESH = 0.1
_DEADLINE = 300.0


@click.command(name="demo", epilog="Example:  gridq demo --gpus sim:8x80GiB --limit 100000000")
@click.option(
    "--gpus", "spec", metavar="SPEC", help="As for `gridq up`. Default: this machine's GPUs, else simulated ones."
)
@click.option(
    "--limit", type=click.IntRange(2, 300_000_000), default=10**7, show_default=True, help="Search below this."
)
@click.pass_context
def command(context: click.Context, spec: str | None, limit: int) -> None:
    """Watch a search run on GPUs, real or simulated: the longest Collatz chain below a limit.

    It has a broker, workers and files of its own, whatever is configured, and leaves nothing behind.
    """
    with Interrupts() as interrupts:
        try:
            right = _demo(spec, limit, interrupts)
        except StoppedError:
            console(stderr=True).print("stopped; nothing is left behind")
            right = False
        context.exit(interrupts.exit_code or (0 if right else 1))


def _demo(spec: str | None, limit: int, interrupts: Interrupts) -> bool:
    # PyTorch and CuPy search on real GPUs only, and workers where they do not fall back on it.
    with extra("examples", "numpy"):
        importlib.import_module("numpy")
    if os.environ.get("GRIDQ_BROKER_URL"):
        console().print("GRIDQ_BROKER_URL is not used: the demo has a broker of its own", style="yellow")
    with tempfile.TemporaryDirectory(prefix="gridq-demo-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        example = find_example()
        with private_environment(home, example.parent):
            settings = config.load()
            spec = spec or ("auto" if devices_of("auto", settings.runtime_dir) else SIMULATED)
            if interrupts.count:
                raise StoppedError
            with local_broker(settings.runtime_dir):
                return _in_private(
                    settings, spec, interrupts, lambda app, client: Search(app, client, load(example), limit)
                )


def _in_private(settings: Settings, spec: str, interrupts: Interrupts, search_of: Any) -> bool:
    from gridq.application import build
    from gridq.broker.connection import open_client

    devices = devices_of(spec, settings.runtime_dir)
    if not devices:
        raise NoGpuError(f"expected GPUs, {spec} has none", hint=f"gridq demo --gpus {SIMULATED}")
    app = build(settings)
    client = open_client(app)
    # Mingling asks other workers what they know, for a second; here there is nothing to know.
    workers = commands("gridq", spec, devices, 1, "--without-mingle")
    supervisor = Supervisor(workers, log_dir=settings.runtime_dir / "log")
    screen = Screen(console(), supervisor)
    try:
        began = time.monotonic()
        supervisor.start()
        with screen.live():
            wait_ready(client, supervisor, interrupts, screen.starting)
            screen.ready(time.monotonic() - began)
            search = search_of(app, client)
            search.submit(min(_MOST_PARTS, _PARTS_PER_GPU * len(devices)))
            _follow(client, supervisor, interrupts, search, screen)
            right = search.check(interrupts)
    finally:
        # By force: all results are in or nobody wants them, and a farewell of every worker would take seconds.
        supervisor.stop()
        client.close()
    return screen.summary(search, right)


def _follow(client: Client, supervisor: Supervisor, interrupts: Interrupts, search: Search, screen: Screen) -> None:
    from gridq.store import workers

    end = time.monotonic() + _DEADLINE
    while not search.finished:
        if interrupts.wait(_REFRESH):
            raise StoppedError
        if gone := supervisor.tick():
            raise GridqError(f"worker {gone[0].label} died in the middle of the search: {gone[0].last_words}")
        search.refresh()
        screen.show(workers.living(client), search)
        if time.monotonic() > end:
            raise GridqError(f"expected the search to end within {_DEADLINE:g}s, got {search.done} of {search.total}")


def find_example() -> Path:
    """The file collatz.py: in the package once installed, beside it in a checkout.

    Raises:
        GridqError: when it is in neither place.
    """
    package = Path(gridq.__file__).parent
    for folder in (package, package.parent):
        path = folder / "examples" / "collatz.py"
        if path.is_file():
            return path
    raise GridqError(
        "expected examples/collatz.py in the package, got none", hint="pip install --force-reinstall gridq"
    )


def load(path: Path) -> Any:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("collatz", path)
    if spec is None or spec.loader is None:
        raise GridqError(f"expected a Python module at {path}, got something else")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def private_environment(home: Path, modules: Path) -> Iterator[None]:
    """Let this process and its children see the demo's settings and none of the user's, while the block runs.

    Args:
        home: where the settings' file and the runtime directory are made.
        modules: a folder to import tasks from.
    """
    file = home / "gridq.yaml"
    file.write_text(f"runtime_dir: {home / 'run'}\n{_SETTINGS}")
    before = dict(os.environ)
    # Where the locks of real GPUs lie is the machine's matter: without them the demo would take a GPU that is in use.
    foreign = [n for n in before if n.startswith(("GRIDQ_", "CELERY_")) and n != "GRIDQ_LOCK_DIR"]
    try:
        for name in foreign:
            del os.environ[name]
        # Workers that end by force leave temporary directories behind; here they go with everything else.
        (home / "tmp").mkdir()
        paths = [str(modules), *filter(None, [before.get("PYTHONPATH")])]
        os.environ |= {
            "GRIDQ_CONFIG": str(file),
            "PYTHONPATH": os.pathsep.join(paths),
            "TMPDIR": str(home / "tmp"),
        }
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
