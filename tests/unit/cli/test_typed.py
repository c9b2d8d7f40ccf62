"""What a command says to type next can be typed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gridq.cli.demo_view import typed


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """gridq in an environment that PATH does not know, two folders below the current one."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "gridq"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    return folder / "gridq"


def test_where_path_has_no_gridq_the_way_to_it_is_said(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed("up") == ".venv/bin/gridq up"
    monkeypatch.chdir("/")
    assert typed("up") == f"{program.relative_to('/')} up"
    monkeypatch.chdir(program.parent.parent)
    (program.parent.parent / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert typed("up") == f"{program} up"


def test_where_path_has_gridq_its_name_is_enough(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    assert typed("up") == "gridq up"
