"""The contract of a probe, kept by every one of them; then what only NVML has."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rigs import GIB, NvmlRig, Rig, SimRig, compile_fake_nvml, eventually

from gridq.errors import ProbeError
from gridq.gpu.health import State
from gridq.gpu.reading import Reading
from gridq.gpu.watch import Watch


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_fake_nvml(tmp_path_factory.mktemp("nvml") / "new")


@pytest.fixture(scope="session")
def old_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_fake_nvml(tmp_path_factory.mktemp("nvml") / "old", "-DOLD_DRIVER")


@pytest.fixture
def nvml(tmp_path: Path, library: Path) -> Iterator[NvmlRig]:
    rig = NvmlRig(tmp_path, library)
    yield rig
    rig.kill()


@pytest.fixture
def old_nvml(tmp_path: Path, old_library: Path) -> Iterator[NvmlRig]:
    rig = NvmlRig(tmp_path, old_library)
    yield rig
    rig.kill()


@pytest.fixture(params=["sim", "nvml"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    if request.param == "nvml":
        yield request.getfixturevalue("nvml")
        return
    rig = SimRig(tmp_path)
    yield rig
    rig.kill()


class TestEveryProbe:
    def test_lists_its_gpus_by_index_with_uuid_model_memory_and_driver(self, rig: Rig) -> None:
        first, second = rig.open().devices()
        assert (first.index, second.index) == (0, 1)
        assert first.uuid != second.uuid
        assert first.memory_total == 24 * GIB
        assert "24G" in first.model
        assert first.driver

    def test_names_a_gpu_the_same_each_time(self, rig: Rig) -> None:
        assert rig.open().devices() == rig.open().devices()

    def test_reads_a_healthy_gpu_in_our_units(self, rig: Rig) -> None:
        probe = rig.open()
        uuid = probe.devices()[1].uuid
        reading = probe.read(uuid)
        assert reading.uuid == uuid
        assert 0 <= reading.memory_used <= 24 * GIB
        assert 0 <= reading.utilization <= 1
        assert 10 < reading.temperature < reading.temperature_limit < 120
        assert 0 < reading.power < reading.power_limit < 2000
        assert (reading.processes, reading.xids) == ((), ())
        assert (reading.ecc_uncorrected, reading.remap_failed, reading.lost) == (0, False, False)

    def test_reading_survives_json(self, rig: Rig) -> None:
        probe = rig.open()
        reading = probe.read(probe.devices()[0].uuid)
        assert type(reading).from_dict(json.loads(json.dumps(reading.to_dict()))) == reading

    def test_sees_each_change_on_its_own_gpu_only(self, rig: Rig) -> None:
        probe = rig.open()
        first, second = (device.uuid for device in probe.devices())
        before = probe.read(second)
        rig.set(first, memory_used=5 * GIB, temperature=81, ecc=2, remap_failed=1)
        reading = probe.read(first)
        assert (reading.memory_used, reading.temperature) == (5 * GIB, 81)
        assert (reading.ecc_uncorrected, reading.remap_failed) == (2, True)
        assert probe.read(second) == before

    def test_reports_an_xid_once_and_on_its_own_gpu_only(self, rig: Rig) -> None:
        probe = rig.open()
        first, second = (device.uuid for device in probe.devices())
        assert (probe.read(first).xids, probe.read(second).xids) == ((), ())
        rig.raise_xid(first, 31)
        rig.raise_xid(first, 94)
        assert probe.read(second).xids == ()
        before = probe.read(first).xids
        assert [event.number for event in before] == [31, 94]
        assert probe.read(first).xids == ()
        rig.raise_xid(first, 31)
        [again] = probe.read(first).xids
        assert (again.number, again.pid) == (31, None)
        assert before[0].id < before[1].id < again.id
        assert time.monotonic() - 60 < before[0].at <= before[1].at <= again.at <= time.monotonic()
        assert probe.read(second).xids == ()

    def test_gives_a_reading_of_a_card_that_is_lost(self, rig: Rig) -> None:
        probe = rig.open()
        first, second = (device.uuid for device in probe.devices())
        probe.read(first)
        rig.raise_xid(first, 79)
        rig.set(first, lost=1)
        reading = probe.read(first)
        assert reading.lost
        assert [event.number for event in reading.xids] == [79]
        assert reading.memory_used is None
        assert not probe.read(second).lost

    def test_refuses_a_uuid_that_this_machine_does_not_have(self, rig: Rig) -> None:
        probe = rig.open()
        with pytest.raises(ProbeError, match="GPU-of-another-machine") as caught:
            probe.read("GPU-of-another-machine")
        assert probe.devices()[0].uuid in caught.value.hint

    def test_can_be_closed_twice(self, rig: Rig) -> None:
        probe = rig.open()
        probe.close()
        probe.close()

    def test_goes_on_when_a_hang_is_over(self, rig: Rig) -> None:
        probe = rig.open()
        uuid = probe.devices()[0].uuid
        rig.set(uuid, hang=1)
        probe.begin("read", uuid)
        assert not probe.answers_within(0.2)
        rig.set(uuid, hang=0)
        assert probe.answers_within(10)
        assert probe.finish()["uuid"] == uuid

    def test_is_unknown_to_a_watch_while_it_hangs_and_recovers_by_itself(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uuid = rig.open().devices()[0].uuid
        for name, value in rig.environment.items():
            monkeypatch.setenv(name, value)
        watch = Watch(rig.spec, [uuid], interval=0.05, deadline=0.5, state_dir=rig.state_dir)
        try:
            watch.start()
            eventually(lambda: watch.latest(uuid).verdict.state is State.HEALTHY)
            rig.set(uuid, hang=1)
            eventually(lambda: watch.latest(uuid).verdict.state is State.UNKNOWN, timeout=3)
            rig.set(uuid, hang=0)
            eventually(lambda: watch.latest(uuid).verdict.state is State.HEALTHY)
        finally:
            watch.stop()


class TestNvml:
    def test_counts_the_drivers_own_share_as_used_in_either_version(self, nvml: NvmlRig, old_nvml: NvmlRig) -> None:
        assert nvml.open().read("GPU-0").memory_used == GIB
        assert old_nvml.open().read("GPU-0").memory_used == GIB

    def test_tells_percent_and_milliwatts_as_shares_and_watts(self, nvml: NvmlRig) -> None:
        reading = nvml.open().read("GPU-0")
        assert (reading.utilization, reading.power, reading.power_limit) == (0.25, 60.5, 350)
        assert reading.temperature_limit == 92

    @pytest.mark.parametrize("driver", ["nvml", "old_nvml"])
    def test_tells_who_holds_memory_and_not_how_much_where_the_driver_does_not_say(
        self, driver: str, request: pytest.FixtureRequest
    ) -> None:
        rig = request.getfixturevalue(driver)
        rig.set("GPU-0", pid=4711)
        found = rig.open().read("GPU-0").processes
        assert [(process.pid, process.memory) for process in found] == [(4711, GIB), (4712, None)]

    def test_says_none_for_what_an_old_driver_lacks(self, old_nvml: NvmlRig) -> None:
        reading = old_nvml.open().read("GPU-0")
        assert (reading.temperature, reading.temperature_limit) == (40, None)
        assert (reading.power_limit, reading.ecc_uncorrected, reading.remap_failed) == (None, None, None)
        assert reading.xids == ()

    @pytest.mark.parametrize("code", [3, 4, 13], ids=["not supported", "no permission", "function not found"])
    def test_says_none_for_what_a_card_does_not_answer(self, nvml: NvmlRig, code: int) -> None:
        nvml.set("GPU-0", refuse=code)
        assert nvml.open().read("GPU-0") == Reading("GPU-0")

    def test_an_error_that_means_neither_is_an_error(self, nvml: NvmlRig) -> None:
        probe = nvml.open()
        probe.devices()
        nvml.set("GPU-0", refuse=999)
        with pytest.raises(ProbeError, match="could not read GPU-0: Unknown Error"):
            probe.read("GPU-0")
        assert probe.read("GPU-1").temperature == 40

    def test_has_no_gpus_where_the_driver_counts_none(self, nvml: NvmlRig) -> None:
        nvml.write("count 0")
        assert nvml.open().devices() == []

    @pytest.mark.parametrize("sick", [{"lost": 1}, {"refuse": 999}])
    def test_leaves_out_a_card_that_does_not_answer_and_keeps_the_others_index(
        self, nvml: NvmlRig, sick: dict[str, int]
    ) -> None:
        nvml.set("GPU-0", **sick)
        assert [(device.uuid, device.index) for device in nvml.open().devices()] == [("GPU-1", 1)]

    def test_says_what_to_do_where_there_is_no_driver(self, nvml: NvmlRig) -> None:
        nvml.write("init 9")
        with pytest.raises(ProbeError, match="expected an NVIDIA driver, but NVML says: Driver Not Loaded") as caught:
            nvml.open()
        assert "sim:2x24GiB" in caught.value.hint

    def test_says_what_to_do_where_the_driver_does_not_fit_its_library(self, nvml: NvmlRig) -> None:
        nvml.write("init 18")
        with pytest.raises(ProbeError, match="NVML does not start") as caught:
            nvml.open()
        assert "reboot" in caught.value.hint

    def test_says_what_to_do_where_there_is_no_library(self, tmp_path: Path) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        # A file that is no library hides a real one that this machine may have.
        (empty / "libnvidia-ml.so.1").write_text("")
        rig = NvmlRig(tmp_path, empty)
        try:
            with pytest.raises(ProbeError, match="expected an NVIDIA driver, but NVML says: NVML Shared Library"):
                rig.open()
        finally:
            rig.kill()

    @pytest.mark.parametrize(("state", "expected"), [("count 2", ["GPU-0", "GPU-1"]), ("count 0", []), ("init 9", [])])
    def test_is_what_auto_takes_where_it_lists_a_gpu(self, nvml: NvmlRig, state: str, expected: list[str]) -> None:
        nvml.write(state)
        nvml.spec = "auto"
        assert [device.uuid for device in nvml.open().devices()] == expected


class TestMig:
    @pytest.fixture(autouse=True)
    def mig(self, nvml: NvmlRig) -> None:
        nvml.set("GPU-0", mig=1)

    def test_lists_the_instances_in_place_of_the_card(self, nvml: NvmlRig) -> None:
        devices = nvml.open().devices()
        assert [(device.uuid, device.index, device.memory_total // GIB) for device in devices] == [
            ("MIG-0-0", 0, 10),
            ("MIG-0-1", 1, 10),
            ("GPU-1", 2, 24),
        ]
        assert devices[0].model == "Fake 24GB MIG 1g.10gb"

    def test_reads_the_instances_memory_and_the_cards_faults_and_nothing_made_up(self, nvml: NvmlRig) -> None:
        nvml.set("GPU-0", ecc=1, temperature=77)
        reading = nvml.open().read("MIG-0-1")
        assert (reading.memory_used, reading.processes) == (GIB, ())
        assert (reading.temperature, reading.ecc_uncorrected, reading.remap_failed) == (77, 1, False)
        assert (reading.utilization, reading.power, reading.power_limit) == (None, None, None)

    def test_blames_an_xid_on_the_instance_that_it_hit_or_on_all(self, nvml: NvmlRig) -> None:
        probe = nvml.open()
        assert (probe.read("MIG-0-0").xids, probe.read("MIG-0-1").xids) == ((), ())
        nvml.raise_xid("MIG-0-1", 31, instance=1)
        nvml.raise_xid("GPU-0", 79)
        assert [event.number for event in probe.read("MIG-0-0").xids] == [79]
        assert [event.number for event in probe.read("MIG-0-1").xids] == [31, 79]
        assert probe.read("GPU-1").xids == ()


def test_a_machine_of_continuous_integration_has_what_these_tests_need(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No compiler: a reason to skip on a laptop, a failure where nobody would read the reason."""
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no C compiler"):
        compile_fake_nvml(tmp_path / "library")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no C compiler"):
        compile_fake_nvml(tmp_path / "library")
