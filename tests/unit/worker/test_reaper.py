"""Looks go on whatever happens in one of them."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest

from gridq import config
from gridq.worker import reaper
from gridq.worker.reaper import Reaper


def test_a_look_that_fails_is_logged_and_followed_by_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[Any] = []

    def fail(*_: Any) -> None:
        looks.append(1)
        raise AttributeError("a surprise")

    monkeypatch.setattr(reaper, "TICK", 0.01)
    monkeypatch.setattr(reaper, "open_client", lambda app: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(reaper, "run_once", fail)
    monkeypatch.setattr(reaper, "tell_all", lambda client, app: time.sleep(60))
    worker = SimpleNamespace(
        app=None, gridq=SimpleNamespace(lease=SimpleNamespace(terms=None), settings=config.load(environ={}))
    )
    monkeypatch.setattr(reaper, "_LAST_ROUND", 0.1)
    step = Reaper(SimpleNamespace())
    with caplog.at_level(logging.ERROR):
        step.start(worker)
        end = time.monotonic() + 10
        while len(looks) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        step.stop(worker)
    assert len(looks) >= 3, "a slow result backend holds up nothing else either"
    assert "a surprise" in caplog.text and "Traceback" in caplog.text
