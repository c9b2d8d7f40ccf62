"""What commands log goes to stderr, from the level on that was asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SAY = (
    "import logging; from gridq.logs.stderr import log_to_stderr; log_to_stderr({level!r}); "
    "logging.getLogger('gridq').info('redis://:hunter2@db'); print('printed')"
)


def say(level: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A program that logs a line and prints one."""
    command = [sys.executable, "-c", SAY.format(level=level)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | settings
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)


def test_it_is_said_on_stderr_in_the_form_that_is_set(tmp_path: Path) -> None:
    done = say("INFO", tmp_path, GRIDQ_LOG_FORMAT="json")
    assert json.loads(done.stderr)["event"] == "redis://:***@db" and done.stdout == "printed\n"


@pytest.mark.parametrize(("level", "lines"), [("WARNING", 0), ("INFO", 1)])
def test_settings_that_are_wrong_do_not_keep_it_from_being_said(level: str, lines: int, tmp_path: Path) -> None:
    done = say(level, tmp_path, GRIDQ_LOG_FORMAT="xml")
    assert len(done.stderr.splitlines()) == lines
