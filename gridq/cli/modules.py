"""Whether the modules of an app's tasks are there at all; what goes wrong inside them, the workers say."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from celery.utils.imports import cwd_in_path

from gridq.config import Settings
from gridq.errors import ConfigError


def require_modules(app: Any, settings: Settings) -> None:
    """Raise where a module is named that does not exist; it is looked for where workers do.

    Raises:
        ConfigError: then.
    """
    with cwd_in_path():
        for name in app.loader.default_modules:
            if not _exists(name):
                where = settings.sources.get("tasks") if name in settings.tasks else None
                raise ConfigError(
                    f"{where or 'include or imports of the app'}: expected a module that exists, got {name!r}",
                    hint=_near(name) or f"it is looked for in {Path.cwd()}, then where Python finds its packages",
                )


def _exists(name: str) -> bool:
    if name in sys.modules or _lies_there(name):
        return True
    try:
        # A package may find its modules in a way of its own; asking it imports it.
        return find_spec(name) is not None
    except ModuleNotFoundError as error:
        return not f"{name}.".startswith(f"{error.name}.")
    except (Exception, SystemExit):  # noqa: BLE001 (packages raise whatever they like when they are imported; the workers tell it)
        return True


def _lies_there(name: str) -> bool:
    """Whether Python's finders see it, with nothing imported: what packages do then is for the workers."""
    parts = name.split(".")
    folders: Any = None
    for number in range(1, len(parts) + 1):
        try:
            found = (finder.find_spec(".".join(parts[:number]), folders) for finder in sys.meta_path)
            spec = next(filter(None, found), None)
        except Exception:  # noqa: BLE001 (finders are anybody's, and some want the package to be imported)
            return False
        if spec is None or (number < len(parts) and spec.submodule_search_locations is None):
            return False
        folders = spec.submodule_search_locations
    return True


def _near(name: str) -> str | None:
    """A module beside it whose name is like its own."""
    package, dot, last = name.rpartition(".")
    if package and not _exists(package):
        return None
    spec = find_spec(package) if package else None
    folders = spec.submodule_search_locations if spec else [str(Path.cwd())]
    near = get_close_matches(last, [found.name for found in iter_modules(folders)] if folders else [], n=1)
    return f"did you mean {f'{package}{dot}{near[0]}'!r}?" if near else None
