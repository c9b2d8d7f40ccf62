"""What the wheel and the image are built from is enough, and nothing of whoever builds them."""

from __future__ import annotations

import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[3]
OWN = ("inventory.yml", "secrets/ca/ca.key", "backups/gridq-1.rdb", "production.yml", "group_vars/all.yml")


def test_all_that_the_wheel_takes_along_is_there_when_the_image_is_built() -> None:
    """Each file and folder is copied, and not kept from the engine."""
    taken = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["only-include"])
    dockerfile = (ROOT / "deploy" / "docker" / "Dockerfile").read_text().splitlines()
    copied = {line.split()[1] for line in dockerfile if line.startswith("COPY ") and "--from" not in line}
    sent = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert {part for part in taken if part not in copied and Path(part).parts[0] not in copied} == set()
    assert taken <= sent
    assert {part for part in sent if Path(part).parts[0] == "ansible"} <= taken


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The files of the checkout that git knows."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs git's list of the files")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture
def checkout(tracked: list[str], tmp_path: Path) -> Path:
    """A checkout in which somebody runs a fleet."""
    folder = tmp_path / "checkout"
    for name in (*tracked, *(f"ansible/{own}" for own in OWN)):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((ROOT / name).read_bytes() if name in tracked else b"secret")
    return folder


def test_the_wheel_has_all_playbooks_and_nothing_of_its_builder(
    checkout: Path, tracked: list[str], tmp_path: Path
) -> None:
    (wheel,) = WheelBuilder(str(checkout)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    ours = {name for name in tracked if name.startswith(("ansible/", "deploy/")) and "/." not in name}
    beside = "gridq/deployment/"
    assert {name.removeprefix(beside) for name in names if name.startswith(beside)} == ours
    assert {"gridq/examples/collatz.py", "gridq/cli/__init__.py"} <= set(names)


def test_the_source_has_nothing_of_its_builder(checkout: Path, tmp_path: Path) -> None:
    (source,) = SdistBuilder(str(checkout)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(source) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert "ansible/site.yml" in names
    assert not {f"ansible/{own}" for own in OWN} & set(names)
