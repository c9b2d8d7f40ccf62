"""Who may come in: files of credentials, and addresses that others can reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridq.errors import ConfigError
from gridq.flower.access import check_access, is_loopback, read_credentials


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_has_one_user_a_line_and_comments(tmp_path: Path) -> None:
    file = write(tmp_path / "auth", "# the team\nada:x:y\n\n  bob:z \n")
    assert read_credentials(file) == ["ada:x:y", "bob:z"]


@pytest.mark.parametrize("text", ["", "# nobody\n", "ada\n", "ada:\n", ":sesame\n"])
def test_a_file_without_users_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"auth.*: expected .*`name:password`") as refused:
        read_credentials(write(tmp_path / "auth", text))
    assert "sesame" not in str(refused.value)


def test_a_file_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mode 0644") as refused:
        read_credentials(write(tmp_path / "auth", "ada:x\n", 0o644))
    assert "chmod 600" in str(refused.value)


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.7", False),
        ("gpu-box", False),
    ],
)
def test_an_address_that_others_can_reach_needs_credentials(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours
    check_access(host, locked=True)
    if ours:
        check_access(host, locked=False)
    else:
        with pytest.raises(ConfigError, match="expected credentials"):
            check_access(host, locked=False)
