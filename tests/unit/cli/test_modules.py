"""Whether a module of tasks is there, asked without importing it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from celery import Celery

from gridq import config
from gridq.cli.modules import require_modules
from gridq.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where workers would look for modules; what was imported from there is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def require(name: str) -> None:
    """Ask for that module alone."""
    with Celery("shop", include=[name], set_as_current=False) as app:
        require_modules(app, config.load(environ={}))


@pytest.mark.parametrize("beginning", ["import sys; sys.exit('settings are missing')", "raise RuntimeError('no CUDA')"])
def test_what_a_package_does_when_it_is_imported_is_left_to_the_workers(folder: Path, beginning: str) -> None:
    (folder / "market" / "stalls").mkdir(parents=True)
    (folder / "market" / "__init__.py").write_text(beginning)
    (folder / "market" / "stalls" / "tasks.py").touch()
    require("market.stalls.tasks")
    assert "market" not in sys.modules


def test_a_package_that_finds_its_modules_by_itself_is_asked(folder: Path) -> None:
    (folder / "market").mkdir()
    (folder / "elsewhere").mkdir()
    (folder / "market" / "__init__.py").write_text(f"__path__ = [{str(folder / 'elsewhere')!r}]")
    (folder / "elsewhere" / "tasks.py").touch()
    require("market.tasks")


def test_a_module_that_is_not_there_is_told_with_one_that_is(folder: Path) -> None:
    (folder / "market").mkdir()
    (folder / "market" / "__init__.py").touch()
    (folder / "market" / "tasks.py").touch()
    with pytest.raises(ConfigError, match=r"expected a module that exists, got 'market\.task'") as told:
        require("market.task")
    assert told.value.hint == "did you mean 'market.tasks'?"
