"""Processes whose names are no text."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridq.gpu import sim
from gridq.worker.guard import runs
from gridq.worker.kin import is_descendant


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[int]:
    """A child whose name is not UTF-8."""
    program = bytes(tmp_path) + b"/\xff\xfe) x"
    shutil.copy(b"/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as child:
        yield child.pid
        child.kill()


def test_a_process_whose_name_is_no_text_is_known_and_alive(odd: int) -> None:
    assert is_descendant(odd)
    assert runs(odd)
    assert sim._start_time(odd) is not None
