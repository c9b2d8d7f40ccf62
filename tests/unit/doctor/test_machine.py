"""A machine is judged by its driver, its limits and its directories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import gpu

from gridq import config
from gridq.doctor import facts
from gridq.doctor.finding import Finding, Severity
from gridq.doctor.machine import Folder, Machine, examine
from gridq.units import GIB, MIB

DEVICE = gpu().device
GOOD = Machine(
    spec="auto",
    has_driver=True,
    devices=[DEVICE],
    driver_trouble=None,
    can_check=True,
    held=frozenset({DEVICE.uuid}),
    has_workers=True,
    files=4096,
    files_most=1_048_576,
    runtime_dir=Folder(Path("/run/gridq"), free=100 * GIB),
    lock_dir=Folder(Path("/tmp/gridq-locks")),
)


def bad(machine: Machine) -> list[Finding]:
    """All findings that are not well."""
    return [finding for finding in examine(machine) if finding.severity is not Severity.OK]


def test_nothing_is_found_wrong_with_a_good_machine_nor_with_one_without_gpus() -> None:
    assert bad(GOOD) == []
    assert bad(replace(GOOD, has_driver=False, devices=[], held=frozenset(), can_check=False)) == []


@pytest.mark.parametrize(
    ("changes", "check", "severity", "words"),
    [
        (
            {"devices": [], "driver_trouble": ("NVML does not start: version mismatch", "reboot")},
            "driver",
            Severity.ERROR,
            "version mismatch",
        ),
        ({"devices": []}, "driver", Severity.WARNING, "lists no GPU"),
        ({"held": frozenset()}, "unheld", Severity.NOTE, "no worker holds GPU 0"),
        ({"can_check": False}, "canary", Severity.NOTE, "unchecked"),
        ({"files": 512}, "open files", Severity.WARNING, "512"),
        ({"files": 64}, "open files", Severity.ERROR, "64"),
        ({"runtime_dir": Folder(Path("/r"), "owner 0 and mode 0777", GIB)}, "runtime_dir", Severity.ERROR, "0777"),
        ({"lock_dir": Folder(Path("/l"), "/l is not writable")}, "lock_dir", Severity.ERROR, "not writable"),
        ({"runtime_dir": Folder(Path("/r"), free=500 * MIB)}, "disk", Severity.WARNING, "500MiB free"),
        ({"runtime_dir": Folder(Path("/r"), free=5 * MIB)}, "disk", Severity.ERROR, "5MiB free"),
    ],
)
def test_what_would_keep_workers_from_working_is_found(
    changes: dict[str, Any], check: str, severity: Severity, words: str
) -> None:
    (found,) = bad(replace(GOOD, **changes))
    assert (found.check, found.severity) == (check, severity)
    assert words in found.evidence
    assert found.hint


def test_gpus_that_no_worker_holds_are_fine_where_no_worker_runs() -> None:
    assert bad(replace(GOOD, held=frozenset(), has_workers=False)) == []


def test_limits_that_cannot_be_raised_far_are_named_with_what_is_possible() -> None:
    (found,) = bad(replace(GOOD, files=512, files_most=2048))
    assert "ulimit -n 2048" in found.hint


def test_this_machine_is_found_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "open"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    settings = config.load(environ={}, runtime_dir=shared, lock_dir=tmp_path / "not" / "yet" / "there")
    machine = facts.of_machine(settings, [])
    assert machine.files > 0
    assert "mode 0777" in (machine.runtime_dir.trouble or "")
    assert machine.runtime_dir.free
    assert machine.lock_dir.trouble is None, "it is made when it is needed"
    assert not (tmp_path / "not").exists(), "who looks changes nothing"
