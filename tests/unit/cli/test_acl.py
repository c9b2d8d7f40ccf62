"""`gridq acl` prints lines that Redis takes, and no password."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gridq.cli import main
from gridq.store import acl


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["acl", *arguments])


def test_without_a_role_all_of_them_are_printed_and_the_default_user_is_shut_out() -> None:
    lines = run().output.splitlines()
    assert lines[0] == acl.DEFAULT_USER
    assert [line.split()[:4] for line in lines[1:]] == [
        ["user", role, "on", "#SHA256-OF-THE-PASSWORD"] for role in acl.ROLES
    ]


def test_of_a_password_in_a_file_its_hash_is_printed(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text("sesame\n")
    line = run("producer", "--user", "shop", "--password-file", str(file)).output
    assert line.startswith(f"user shop on #{hashlib.sha256(b'sesame').hexdigest()} resetkeys ")
    assert "sesame" not in line
    file.chmod(0o644)
    assert "chmod 600" in run("producer", "--password-file", str(file)).output


def test_json_has_the_rules_of_each_role() -> None:
    assert json.loads(run("--json").output) == {role: " ".join(acl.rules(role)) for role in acl.ROLES}
    assert list(json.loads(run("worker", "--json", "--prefix", "shop:").output)) == ["worker"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--user", "ada"), "expected a role"),
        (("worker", "--prefix", "a b"), "expected letters"),
        (("worker", "--prefix", "*"), "expected letters"),
        (("worker", "--queue", "*"), "expected the name of a queue"),
        (("worker", "--queue", "g*"), "expected queues alone"),
        (("worker", "--queue", "gridq:claims:x"), "expected queues alone"),
        (("worker", "--queue", "celery*"), "expected queues alone"),
        (("worker", "--queue", "a)b"), "expected the name of a queue"),
        (("wroker",), "wroker"),
    ],
)
def test_what_would_open_other_keys_is_refused(arguments: tuple[str, ...], expected: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2 and expected in result.output
