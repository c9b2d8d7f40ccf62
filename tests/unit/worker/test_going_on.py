"""A worker's threads go on, and say so, whatever happens in one of their rounds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gridq.gpu import watch
from gridq.worker import heartbeat, witness
from gridq.worker.heartbeat import Heartbeat
from gridq.worker.triage import Triage
from gridq.worker.witness import Presence, Witness


def fails_and_counts(rounds: list[int]) -> Callable[..., None]:
    def fail(*_: Any, **__: Any) -> None:
        rounds.append(1)
        raise LookupError("a surprise")

    return fail


def three(rounds: list[int]) -> bool:
    end = time.monotonic() + 10
    while len(rounds) < 3 and time.monotonic() < end:
        time.sleep(0.005)
    return len(rounds) >= 3


def run(target: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


@pytest.fixture(autouse=True)
def said(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.ERROR)
    return caplog


def test_the_heartbeat(monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture) -> None:
    rounds: list[int] = []
    monkeypatch.setattr(heartbeat, "_RETRY", 0.01)
    drain = SimpleNamespace(enforce=fails_and_counts(rounds), pause=0.01)
    life = SimpleNamespace(
        drain=drain,
        gate=SimpleNamespace(observations=[]),
        lease=SimpleNamespace(holds=True),
        settings=SimpleNamespace(heartbeat=0.01),
        place=SimpleNamespace(name="gpu0@node1"),
    )
    step = Heartbeat(SimpleNamespace())
    thread = run(step._beat, SimpleNamespace(gridq=life))
    assert three(rounds)
    step._stopping.set()
    thread.join(5)
    assert "heartbeat of gpu0@node1 failed, and goes on" in said.text and "a surprise" in said.text


def test_the_triage(said: pytest.LogCaptureFixture) -> None:
    rounds: list[int] = []
    step = Triage(SimpleNamespace())
    step._round = SimpleNamespace(run_once=fails_and_counts(rounds))  # type: ignore[assignment]
    step._usage = SimpleNamespace(look=lambda: None)  # type: ignore[assignment]
    thread = run(step._look, 0.01)
    assert three(rounds)
    step._stopping.set()
    thread.join(5)
    assert "could not look after the GPUs" in said.text and "a surprise" in said.text


def test_the_watch(monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture, tmp_path: Any) -> None:
    rounds: list[int] = []
    monkeypatch.setattr(watch, "_MOST_PAUSE", 0.01)
    watched = watch.Watch("sim:1GiB", ["SIM-0"], interval=0.5, deadline=1, state_dir=tmp_path)
    monkeypatch.setattr(watched, "_spawn", fails_and_counts(rounds))
    watched.start()
    assert three(rounds)
    watched.stop()
    assert "watching the GPU probe failed" in said.text and "a surprise" in said.text


def test_the_witness(monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture) -> None:
    rounds: list[int] = []
    monkeypatch.setattr(witness.tasks, "note_xid", fails_and_counts(rounds))
    writer = Witness("gpu0@node1", lambda: SimpleNamespace(close=lambda: None))  # type: ignore[arg-type, return-value]
    for number in (13, 31, 43):
        writer.note("GPU-0", witness.XidEvent(number, number, 10.0), [Presence("t1", 5.0)])
    assert three(rounds)
    writer.stop()
    assert "XID 43 is not noted" in said.text and "a surprise" in said.text
