"""What a worker says before it gives up is read back as people read it."""

from __future__ import annotations

import json
import sys
from io import StringIO

import pytest

from gridq.errors import NoGpuError
from gridq.logs.complaint import complain, readable


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_complaint_is_read_back_in_both_forms(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stderr__", stream := StringIO())
    complain(NoGpuError("expected a GPU, got none", hint="plug one in"), form)
    if form == "json":
        assert json.loads(stream.getvalue())["level"] == "critical"
    assert readable(stream.getvalue()) == "error: expected a GPU, got none\nhint: plug one in"


def test_a_log_is_read_as_it_is_where_it_is_not_ours() -> None:
    lines = 'plain\n{"event": "said", "exception": "Traceback:\\n  why"}\n{"a": 1}\n{broken\n{"event": 5}'
    assert readable(lines) == 'plain\nsaid\nTraceback:\n  why\n{"a": 1}\n{broken\n{"event": 5}'
