"""Who may scrape: names and passwords from a file that others cannot read."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gridq.exporter.logins import Logins, hashed


def header(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"# who may scrape\n\nada:so:secret\ngrace:{hashed('ünder')}\n", "utf-8")
    path.chmod(0o600)
    return path


def test_a_user_comes_in_with_a_password_that_is_kept_plain_or_hashed(file: Path) -> None:
    logins = Logins.read(file)
    for _ in range(2):
        assert logins.admit(header("ada", "so:secret"))
        assert logins.admit(header("grace", "ünder"))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic /////w==",
        "Bearer abc",
        header("ada", "wrong"),
        header("ada", ""),
        header("grace", "so:secret"),
        header("nobody", "so:secret"),
    ],
)
def test_nobody_else_does(file: Path, wrong: str | None) -> None:
    assert not Logins.read(file).admit(wrong)


def test_a_hash_is_no_password(file: Path) -> None:
    kept = file.read_text("utf-8").splitlines()[-1].partition(":")[2]
    assert not Logins.read(file).admit(header("grace", kept))


def test_what_only_looks_like_a_hash_is_a_password(file: Path) -> None:
    file.write_text("ada:scrypt$zz$zz\n")
    assert Logins.read(file).admit(header("ada", "scrypt$zz$zz"))


def test_the_same_password_has_another_hash_each_time() -> None:
    assert hashed("secret") != hashed("secret")
