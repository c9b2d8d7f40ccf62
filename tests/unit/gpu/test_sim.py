"""Simulated GPUs: their spec, and how they are controlled from outside. What all probes have: tests/conformance."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridq.errors import ProbeError
from gridq.gpu.reading import Process
from gridq.gpu.sim import POWER_LIMIT, TEMPERATURE_LIMIT, SimProbe, Simulator, hold
from gridq.units import GIB

GPU = "SIM-0000-24gib"


@pytest.fixture
def simulator(tmp_path: Path) -> Simulator:
    return Simulator(tmp_path)


@pytest.fixture
def probe(tmp_path: Path) -> SimProbe:
    return SimProbe("sim:24GiB", tmp_path)


def numbers(probe: SimProbe) -> list[int]:
    return [event.number for event in probe.read(GPU).xids]


class TestSpec:
    @pytest.mark.parametrize(
        ("spec", "sizes"),
        [
            ("sim:24GiB", [24]),
            ("sim:2x24GiB", [24, 24]),
            ("sim:4x24GiB,2x80GiB", [24, 24, 24, 24, 80, 80]),
            ("sim: 1x8GiB , 16GiB", [8, 16]),
        ],
    )
    def test_names_how_many_of_which_size(self, tmp_path: Path, spec: str, sizes: list[int]) -> None:
        devices = SimProbe(spec, tmp_path).devices()
        assert [device.memory_total // GIB for device in devices] == sizes
        assert [device.index for device in devices] == list(range(len(sizes)))
        assert len({device.uuid for device in devices}) == len(sizes)

    def test_gives_each_gpu_a_uuid_and_model_that_follow_from_place_and_size(self, tmp_path: Path) -> None:
        devices = SimProbe("sim:24GiB,80GiB", tmp_path).devices()
        assert [(device.uuid, device.model) for device in devices] == [
            ("SIM-0000-24gib", "Simulated 24GiB"),
            ("SIM-0001-80gib", "Simulated 80GiB"),
        ]

    @pytest.mark.parametrize(
        "spec",
        [
            "sim:",
            "sim:x24GiB",
            "sim:0x24GiB",
            "sim:2x",
            "sim:2x0GiB",
            "sim:24GiB,",
            "sim:4x24",
            "sim:2x24Gib2",
            "sim:2000x1GiB",
        ],
    )
    def test_a_bad_one_is_refused_with_an_example(self, tmp_path: Path, spec: str) -> None:
        with pytest.raises(ProbeError, match="cannot simulate") as caught:
            SimProbe(spec, tmp_path)
        assert "sim:2x24GiB" in caught.value.hint


class TestState:
    def test_changes_only_what_is_set(self, probe: SimProbe, simulator: Simulator) -> None:
        simulator.set(GPU, temperature=95)
        simulator.set(GPU, foreign=3 * GIB, power=290.5)
        reading = probe.read(GPU)
        assert (reading.temperature, reading.memory_used, reading.power) == (95, 3 * GIB, 290.5)

    def test_none_gives_a_value_back_to_the_load(self, probe: SimProbe, simulator: Simulator) -> None:
        before = probe.read(GPU)
        simulator.set(GPU, temperature=95, utilization=0.5)
        simulator.set(GPU, temperature=None, utilization=None)
        assert probe.read(GPU) == before

    def test_reset_makes_the_gpu_idle_and_healthy(self, probe: SimProbe, simulator: Simulator) -> None:
        before = probe.read(GPU)
        simulator.set(GPU, lost=True, ecc_uncorrected=3)
        assert probe.read(GPU).lost
        simulator.reset(GPU)
        assert probe.read(GPU) == before

    def test_an_xid_after_a_reset_is_a_new_one(self, probe: SimProbe, simulator: Simulator) -> None:
        simulator.raise_xid(GPU, 79, 79)
        assert numbers(probe) == [79, 79]
        simulator.reset(GPU)
        simulator.raise_xid(GPU, 79)
        assert numbers(probe) == [79]

    def test_a_probe_opened_later_reports_an_xid_too(
        self, probe: SimProbe, simulator: Simulator, tmp_path: Path
    ) -> None:
        simulator.raise_xid(GPU, 48)
        assert numbers(probe) == [48]
        assert numbers(SimProbe("sim:24GiB", tmp_path)) == [48]

    def test_an_xid_says_when_it_happened_and_to_which_process(self, probe: SimProbe, simulator: Simulator) -> None:
        began = time.monotonic()
        simulator.raise_xid(GPU, 31, pid=4711)
        raised = time.monotonic()
        [event] = probe.read(GPU).xids
        # Two clocks are compared, which do not tick together.
        assert began - 0.05 < event.at < raised + 0.05
        assert event.pid == 4711
        assert simulator.state(GPU).xids == ((event.id, 31, 4711),)

    @pytest.mark.parametrize("changes", [{"temprature": 95}, {"temperature": "hot"}, {"lost": None}, {"xids": [79]}])
    def test_refuses_a_wrong_name_or_value(self, probe: SimProbe, simulator: Simulator, changes: Any) -> None:
        before = probe.read(GPU)
        with pytest.raises(ProbeError, match=GPU):
            simulator.set(GPU, **changes)
        assert probe.read(GPU) == before

    def test_may_be_written_by_hand(self, probe: SimProbe, tmp_path: Path) -> None:
        (tmp_path / f"{GPU}.json").write_text(json.dumps({"temperature": 91, "xids": [[1, 31]]}))
        reading = probe.read(GPU)
        assert (reading.temperature, reading.xids[0].number, reading.xids[0].pid) == (91, 31, None)

    @pytest.mark.parametrize("text", ["{", "[]", '{"colour": 1}'])
    def test_written_by_hand_and_wrong_is_an_error_of_the_probe(
        self, probe: SimProbe, tmp_path: Path, text: str
    ) -> None:
        (tmp_path / f"{GPU}.json").write_text(text)
        with pytest.raises(ProbeError):
            probe.read(GPU)

    def test_no_change_is_lost_among_many_writers(
        self, probe: SimProbe, simulator: Simulator, tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
    ) -> None:
        program = (
            "import sys; from pathlib import Path; from gridq.gpu.sim import Simulator\n"
            f"for _ in range(25): Simulator(Path(sys.argv[1])).raise_xid('{GPU}', 31)"
        )
        for writer in [python(program, tmp_path) for _ in range(3)]:
            assert writer.wait(30) == 0
        assert numbers(probe) == [31] * 75


class TestHold:
    def test_shows_the_process_and_its_bytes_until_the_end_of_the_block(self, probe: SimProbe, tmp_path: Path) -> None:
        with hold(tmp_path, GPU, 6 * GIB), hold(tmp_path, GPU, 2 * GIB):
            reading = probe.read(GPU)
            assert reading.processes == (Process(os.getpid(), 8 * GIB),)
            assert reading.memory_used == 8 * GIB
        assert probe.read(GPU).processes == ()

    def test_makes_the_gpu_busy_warm_and_hungry_within_its_limits(self, probe: SimProbe, tmp_path: Path) -> None:
        idle = probe.read(GPU)
        with hold(tmp_path, GPU, GIB):
            busy = probe.read(GPU)
            assert probe.read(GPU) == busy
        assert (idle.utilization, busy.utilization) == (0.0, 1.0)
        assert idle.temperature < busy.temperature < TEMPERATURE_LIMIT - 5
        assert idle.power < busy.power < POWER_LIMIT

    def test_counts_on_top_of_foreign_memory_up_to_what_there_is(
        self, probe: SimProbe, simulator: Simulator, tmp_path: Path
    ) -> None:
        simulator.set(GPU, foreign=20 * GIB)
        with hold(tmp_path, GPU, 3 * GIB):
            assert probe.read(GPU).memory_used == 23 * GIB
            with hold(tmp_path, GPU, 3 * GIB):
                assert probe.read(GPU).memory_used == 24 * GIB

    def test_ends_with_a_killed_process(
        self, probe: SimProbe, tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
    ) -> None:
        program = (
            "import sys; from pathlib import Path; from gridq.gpu.sim import hold\n"
            f"with hold(Path(sys.argv[1]), '{GPU}', 2**30): print('held', flush=True); sys.stdin.read()"
        )
        process = python(program, tmp_path)
        assert process.stdout.readline() == "held\n"
        assert probe.read(GPU).processes == (Process(process.pid, GIB),)
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        # Not reaped yet: a driver frees the memory of a zombie too.
        assert probe.read(GPU).processes == ()
        assert not list(tmp_path.glob("*.hold"))

    def test_does_not_pass_to_a_later_process_with_the_same_pid(self, probe: SimProbe, tmp_path: Path) -> None:
        (tmp_path / f"{GPU}.{os.getpid()}.1.0.hold").write_text(str(GIB))
        assert probe.read(GPU).processes == ()
