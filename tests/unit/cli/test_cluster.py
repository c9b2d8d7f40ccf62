"""`gridq cluster`: what it runs, what it says of what it found, and what it says where something is missing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gridq.cli import cluster
from gridq.cli.entry import main as gridq

UNIT = {"unit": "gridq-gpu@0.service", "active": "active", "sub": "running"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Playbooks, an inventory, and a program ansible-playbook that writes down how it was called."""
    made = tmp_path / "playbooks"
    made.mkdir()
    (made / "site.yml").touch()
    (tmp_path / "inventory.yml").touch()
    program = tmp_path / "bin" / "ansible-playbook"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$ANSIBLE_CONFIG" "$@"\nexit 4\n')
    program.chmod(0o755)
    return tmp_path


def run(folder: Path, *words: str) -> Result:
    """The command line, with that program as the only one on PATH."""
    return CliRunner().invoke(gridq, ["cluster", *words], env={"PATH": str(folder / "bin")})


def test_install_hands_everything_after_two_dashes_to_ansible_and_ends_with_its_status(folder: Path) -> None:
    """It becomes Ansible: so it runs in a child here."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writing, 1)
        os.environ["PATH"] = str(folder / "bin") + ":/bin"
        os.environ.pop("ANSIBLE_CONFIG", None)
        where = ["-i", str(folder / "inventory.yml"), "--playbooks", str(folder / "playbooks")]
        gridq(["cluster", "install", *where, "--", "--check", "-l", "node1"])
        os._exit(99)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().split("\n")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 4
    assert lines[:-1] == [
        str(folder / "playbooks" / "ansible.cfg"),
        *("--inventory", str(folder / "inventory.yml"), "--check", "-l", "node1"),
        str(folder / "playbooks" / "site.yml"),
    ]


def test_a_misspelt_inventory_is_met_with_the_nearest_file(folder: Path) -> None:
    """Ansible itself would go on with an empty one."""
    done = run(folder, "status", "-i", str(folder / "inventary.yml"))
    assert done.exit_code == 1
    assert "expected an inventory, got none" in done.output
    assert f"hint: did you mean {folder / 'inventory.yml'}?" in done.output


def test_without_ansible_it_says_what_to_install(folder: Path) -> None:
    """Nothing else of gridq needs it, so no extra brings it."""
    (folder / "bin" / "ansible-playbook").unlink()
    done = run(folder, "status", "-i", str(folder / "inventory.yml"))
    assert "expected ansible-playbook on PATH, got none" in done.output
    assert "hint: pipx install ansible-core" in done.output


def test_a_folder_without_playbooks_is_refused(folder: Path) -> None:
    """--playbooks names one's own."""
    done = run(folder, "drain", "-i", str(folder / "inventory.yml"), "--playbooks", str(folder), "node1")
    assert f"got no site.yml in {folder}" in done.output
    assert "hint: --playbooks DIR" in done.output


def test_what_ansible_said_is_shown_when_there_is_no_report(folder: Path) -> None:
    """Its exit status and its last words; the command shows the rest."""
    where = ["-i", str(folder / "inventory.yml"), "--playbooks", str(folder / "playbooks")]
    done = run(folder, "status", *where)
    assert done.exit_code == 1
    assert "expected status.yml to say what it found, Ansible ended with 4" in done.output


def test_problems_are_machines_away_units_that_do_not_run_and_those_of_the_fleet() -> None:
    """One sentence each."""
    failed = {"unit": "gridq-cpu.service", "active": "failed", "sub": "failed"}
    hosts = [
        {"host": "node1", "reachable": True, "units": [UNIT, failed]},
        {"host": "node2", "reachable": False, "units": []},
    ]
    seen = {"hosts": hosts, "fleet": {"problems": ["no worker is alive"]}, "error": ""}
    assert cluster.problems(seen) == [
        "node2 cannot be reached",
        "node1: gridq-cpu.service is failed",
        "no worker is alive",
    ]
    silent = {"hosts": [], "fleet": None, "error": "error: expected a broker"}
    assert cluster.problems(silent) == ["gridq status: error: expected a broker"]


def test_the_report_is_shown_as_json_with_what_is_wrong(folder: Path) -> None:
    """Keys that stay: hosts, fleet, error, problems, ok."""
    report = {"hosts": [{"host": "node1", "reachable": True, "units": [UNIT]}], "fleet": None, "error": "none"}
    program = folder / "bin" / "ansible-playbook"
    program.write_text(
        '#!/bin/sh\nvalues=$4\nfile=${values##*\\"gridq_report\\": \\"}\n'
        f'echo \'{json.dumps(report)}\' > "${{file%%\\"*}}"\n'
    )
    where = ["-i", str(folder / "inventory.yml"), "--playbooks", str(folder / "playbooks")]
    done = run(folder, "status", *where, "--json")
    assert json.loads(done.output) == {**report, "problems": ["gridq status: none"], "ok": False}
    assert done.exit_code == 1
