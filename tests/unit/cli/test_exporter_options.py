"""What `gridq exporter` and `gridq up --with` refuse before they start anything, and passwords that become hashes."""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gridq.cli import main
from gridq.cli.companions import keep
from gridq.cli.supervisor import Command, Supervisor
from gridq.errors import GridqError
from gridq.exporter.logins import Logins


@pytest.fixture(autouse=True)
def nobody_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings and no broker of the machine that the tests run on."""
    monkeypatch.chdir(tmp_path)


def exporter(*arguments: str, typed: str | None = None) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["exporter", *arguments], input=typed)


def test_a_password_from_stdin_becomes_a_hash_that_admits_who_knows_it() -> None:
    made = exporter("--hash-password", typed="secret\n")
    assert made.exit_code == 0 and "secret" not in made.output
    header = "Basic " + base64.b64encode(b"ada:secret").decode()
    assert Logins({"ada": made.output.strip()}).admit(header)


def test_no_password_has_no_hash() -> None:
    assert exporter("--hash-password", typed="\n").exit_code == 2


def test_half_of_tls_is_refused() -> None:
    made = exporter("--tls-cert", "cert.pem")
    assert made.exit_code == 2
    assert "expected --tls-cert and --tls-key, got one of them" in made.output


def test_without_a_broker_it_says_what_to_do() -> None:
    made = exporter()
    assert made.exit_code == 2
    assert "hint: start one with `gridq up`" in made.output


def test_what_cannot_start_beside_the_workers_is_told_with_its_reason(tmp_path: Path) -> None:
    program = "import sys; sys.exit('error: expected a free port, got 9470\\nhint: --port 0')"
    beside = Supervisor([Command("exporter", (sys.executable, "-c", program))], log_dir=tmp_path / "run" / "log")
    beside.start()
    try:
        end = time.monotonic() + 10
        with pytest.raises(
            GridqError, match="exporter ended with status 1 before it was ready: expected a free port"
        ) as told:
            while time.monotonic() < end:
                keep(beside)
                time.sleep(0.01)
        assert told.value.hint == "--port 0"
    finally:
        beside.stop()
