"""Typed settings from gridq.yaml, the environment and options, each overriding the one before.

The only reader of the environment. `load()` makes a `Settings`, `check()` lists every problem at once, and
`Settings.describe()` says of each value where it came from. What each setting means: `knobs.py`.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gridq.credentials import read_password
from gridq.errors import ConfigError
from gridq.knobs import KNOBS, Described, described, written
from gridq.units import MIB, format_bytes
from gridq.urls import default_backend, is_sentinel, mask

__all__ = ["Described", "Settings", "check", "default_backend", "load", "mask"]

FILE_NAME = "gridq.yaml"
PREFIX = "GRIDQ_"
#: The one variable of ours that is not a setting: the path of the file.
FILE_VARIABLE = "GRIDQ_CONFIG"

# Kubernetes puts such variables into every container for a Service called gridq or gridq-redis.
_OF_A_SERVICE = re.compile(r"GRIDQ_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT(_\d+_\w+)?)")

#: How values with a unit are shown.
_WRITTEN: dict[str, Callable[[Any], str]] = {"seconds": written, "bytes": format_bytes}


def _runtime_dir(environ: Mapping[str, str] = os.environ) -> Path:
    of_login = environ.get("XDG_RUNTIME_DIR")
    # The variable outlives its directory where a login has ended or `sudo -E` kept it.
    if of_login and Path(of_login).is_dir() and os.access(of_login, os.W_OK):
        return Path(of_login) / "gridq"
    return Path(tempfile.gettempdir()) / f"gridq-{os.getuid()}"


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """Everything that can be set; seconds throughout. `load()` checks the values, this class does not.

    Attributes:
        sources: where each setting that was set came from: `gridq.yaml:3`, `GRIDQ_LEASE` or `option`.
    """

    broker_url: str | None = None
    result_backend: str | None = None
    broker_password_file: Path | None = None
    sentinel_master: str | None = None
    tasks: tuple[str, ...] = ()
    node: str = field(default_factory=socket.gethostname)
    gpus: str = "auto"
    runtime_dir: Path = field(default_factory=_runtime_dir)
    lock_dir: Path = Path("/tmp/gridq-locks")  # nosec B108 # shared by all users, on purpose
    heartbeat: float = 2.0
    lease: float = 10.0
    max_attempts: int = 3
    grace: float = 3600.0
    probe_interval: float = 1.0
    probe_deadline: float = 3.0
    recovery: float = 60.0
    strategy: str = "least-loaded"
    cpu_weight: float = 1.0
    gpu_weight: float = 3.0
    snapshot_age: float = 0.5
    confirm: str = "none"
    confirm_timeout: float = 1.0
    impossible_needs: str = "wait"
    records_ttl: float = 86400.0
    records_limit: int = 100_000
    output_limit: int = MIB
    output_total: int = 256 * MIB
    samples_ttl: float = 7 * 86400.0
    log_format: str = "console"
    sources: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def backend_url(self) -> str | None:
        """Where results go: `result_backend`, else the broker's server, next database; None without a broker."""
        return self.result_backend or (default_backend(self.broker_url) if self.broker_url else None)

    def broker_password(self) -> str | None:
        """What `broker_password_file` holds now; None where none is set.

        Raises:
            ConfigError: when it cannot be read, or others may read it.
        """
        return None if self.broker_password_file is None else read_password(self.broker_password_file)

    def describe(self) -> list[Described]:
        """Every setting with its value, where that came from, and what may be said; passwords are masked."""
        return [described(name, self.shown(name), self.sources.get(name, "default")) for name in KNOBS]

    def shown(self, name: str) -> str:
        """The value of one setting as a person writes it, passwords masked."""
        value: Any = self.backend_url if name == "result_backend" else getattr(self, name)
        if KNOBS[name].unit in _WRITTEN:
            return _WRITTEN[KNOBS[name].unit](value)
        if isinstance(value, tuple):
            return ", ".join(value) or "none"
        if isinstance(value, float):
            return f"{value:g}"
        return "none" if value is None else mask(str(value))

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={self.shown(name)}' for name in KNOBS)})"


def load(file: Path | None = None, environ: Mapping[str, str] = os.environ, **options: Any) -> Settings:
    """Settings from the file, then `GRIDQ_…` variables, then options; only what was set overrides.

    Args:
        file: its path; else `GRIDQ_CONFIG`, else `./gridq.yaml` where there is one, else none.
        environ: the environment. An empty variable counts as not set, since Compose passes on unset ones so.
        options: settings by name; None means not set.

    Raises:
        ConfigError: for a name or a value that is wrong; all of them in one message.
    """
    found = _collect(file, environ, options)
    if len(found.problems) == 1:
        raise found.problems[0]
    if found.problems:
        # Whoever shows it says `error:` before the first.
        raise ConfigError("\nerror: ".join(map(str, found.problems)))
    return found.settings(environ)


def check(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> list[ConfigError]:
    """Everything that is wrong with the file and the environment; empty when `load` would take them."""
    return _collect(file, environ, {}).problems


class _Found:
    """What was set so far, where, and what was wrong with it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.problems: list[ConfigError] = []
        self.refused: set[str] = set()

    def take(self, name: str, raw: object, source: str) -> None:
        """Keep a value of a known setting, or the problem with it."""
        try:
            self.values[name] = KNOBS[name].parse(raw)
            self.sources[name] = source
        except ValueError as error:
            self.refused.add(name)
            hint = f"it may be {KNOBS[name].range}; the default is {KNOBS[name].default}"
            self.problem(f"{source}: {name}: {error}" if source != _variable(name) else f"{source}: {error}", hint)

    def problem(self, message: str, hint: str | None = None) -> None:
        """Note that something is wrong."""
        self.problems.append(ConfigError(message, hint=hint))

    def settings(self, environ: Mapping[str, str]) -> Settings:
        """What was set, over the defaults."""
        return Settings(**({"runtime_dir": _runtime_dir(environ)} | self.values), sources=dict(self.sources))


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _collect(file: Path | None, environ: Mapping[str, str], options: Mapping[str, Any]) -> _Found:
    found = _Found()
    path = _find_file(file, environ)
    if path is not None:
        _take_file(path, found)
    _take_environment(environ, found)
    for name, value in options.items():
        if name not in KNOBS:
            found.problem(f"option: expected a setting, got {name!r}", _did_you_mean(name, KNOBS))
        elif value is not None:
            found.take(name, value, "option")
    _cross_check(found.settings(environ), found)
    return found


def _find_file(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    if file is not None:
        return file
    if environ.get(FILE_VARIABLE):
        return Path(environ[FILE_VARIABLE]).expanduser()
    here = Path(FILE_NAME)
    return here if here.exists() else None


def _take_file(path: Path, found: _Found) -> None:
    try:
        loader = yaml.SafeLoader(path.read_text("utf-8"))
        root = loader.get_single_node()
        if isinstance(root, yaml.MappingNode):
            _take_mapping(path, loader, root, found)
        elif root is not None:
            got = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
            found.problem(f"{path}:{root.start_mark.line + 1}: expected lines such as `lease: 10s`, got {got}")
    except (OSError, UnicodeDecodeError) as error:
        found.problem(f"{path}: expected a readable file of settings, got: {error}", f"{FILE_VARIABLE} names it")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        found.problem(f"{path}{f':{mark.line + 1}' if mark else ''}: expected YAML, got an error: {what}")


def _take_mapping(path: Path, loader: yaml.SafeLoader, root: yaml.MappingNode, found: _Found) -> None:
    lines: dict[str, int] = {}
    for key, node in root.value:
        name, line = str(key.value), key.start_mark.line + 1
        source = f"{path}:{line}"
        if name not in KNOBS:
            found.problem(f"{source}: expected a setting, got {name!r}", _did_you_mean(name, KNOBS))
        elif name in lines:
            found.problem(f"{source}: expected {name} once, got it again; it is on line {lines[name]} too")
        else:
            lines[name] = line
            try:
                value = loader.construct_object(node, deep=True)
            except ValueError as error:
                # A date that does not exist, such as 2026-99-99, which YAML reads as a date all the same.
                found.problem(f"{source}: {name}: expected a value, got one that YAML cannot read: {error}")
                continue
            if value is not None:
                found.take(name, value, source)


def _take_environment(environ: Mapping[str, str], found: _Found) -> None:
    names = {_variable(name): name for name in KNOBS}
    for variable, value in sorted(environ.items()):
        if variable in names:
            if value.strip():
                found.take(names[variable], value.strip(), variable)
        elif variable.startswith(PREFIX) and variable != FILE_VARIABLE and not _OF_A_SERVICE.fullmatch(variable):
            hint = _did_you_mean(variable, [*names, FILE_VARIABLE])
            found.problem(f"environment: expected GRIDQ_… to be a setting, got {variable}", hint)


def _did_you_mean(word: str, names: Iterable[str]) -> str:
    known = list(names)
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower().replace("-", "_"), folded, n=1)
    return f"did you mean {folded[close[0]]!r}?" if close else f"the settings are {', '.join(known)}"


_RULES: tuple[tuple[tuple[str, str], Callable[[Settings], bool], str, str], ...] = (
    (
        ("heartbeat", "lease"),
        lambda s: s.heartbeat * 2 < s.lease,
        "heartbeat to be less than half of lease",
        "a worker must be able to miss one heartbeat and keep its lease",
    ),
    (
        ("probe_interval", "probe_deadline"),
        lambda s: s.probe_interval < s.probe_deadline,
        "probe_interval to be less than probe_deadline",
        "a GPU that is read on time must not look silent",
    ),
    (
        ("cpu_weight", "gpu_weight"),
        lambda s: s.cpu_weight + s.gpu_weight > 0,
        "cpu_weight or gpu_weight to be more than 0",
        "with both at 0 every GPU would look equally loaded",
    ),
    (
        ("broker_url", "sentinel_master"),
        lambda s: s.sentinel_master is not None or not is_sentinel(s.broker_url or ""),
        "sentinel_master to be set where broker_url is sentinel://",
        "set sentinel_master to what the sentinels call the primary, often mymaster",
    ),
)


def _cross_check(settings: Settings, found: _Found) -> None:
    for names, holds, want, hint in _RULES:
        # A value that was refused stands at its default here, which nobody asked for.
        if not found.refused.intersection(names) and not holds(settings):
            got = " and ".join(f"{name} {settings.shown(name)}" for name in names)
            where = ", ".join(dict.fromkeys(found.sources.get(name, "default") for name in names))
            found.problem(f"{where}: expected {want}, got {got}", hint)
    try:
        settings.broker_password()
    except ConfigError as error:
        found.problem(f"{found.sources['broker_password_file']}: {error.message}", error.hint)
