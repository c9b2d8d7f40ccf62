"""Files of passwords, one of a kind or one user a line: for nobody else’s eyes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridq.credentials import read_credentials, read_password
from gridq.errors import ConfigError


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


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o622, 0o602])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match=f"mode {mode:04o}") as refused:
        read_credentials(write(tmp_path / "auth", "ada:x\n", mode))
    assert "chmod 600" in str(refused.value)


def test_a_group_may_read_it_as_kubernetes_and_systemd_want(tmp_path: Path) -> None:
    assert read_credentials(write(tmp_path / "auth", "ada:x\n", 0o640)) == ["ada:x"]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a readable file of credentials"):
        read_credentials(tmp_path / "nowhere")


def test_a_file_of_one_password_has_it_on_one_line(tmp_path: Path) -> None:
    assert read_password(write(tmp_path / "password", "p@ss/w:rd ;1\n")) == "p@ss/w:rd ;1"
    assert read_password(write(tmp_path / "password", "sesame", 0o440)) == "sesame"


@pytest.mark.parametrize("text", ["", "\n", "sesame\nsesame\n", " sesame\n", "ses\x00ame\n", "ses\x1bame"])
def test_a_file_with_anything_else_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="expected a password on one line") as refused:
        read_password(write(tmp_path / "password", text))
    assert "ame" not in str(refused.value)


def test_a_password_that_is_no_text_is_refused_and_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xffsesame")
    with pytest.raises(ConfigError, match="expected a readable file of a password") as refused:
        read_password(tmp_path / "password")
    assert "sesame" not in f"{refused.value!r}{refused.value.__cause__!r}"


def test_a_password_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mode 0644"):
        read_password(write(tmp_path / "password", "sesame\n", 0o644))
