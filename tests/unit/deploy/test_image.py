"""The image is built from a part of the checkout; that part is enough."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_all_that_the_wheel_takes_along_is_there_when_the_image_is_built() -> None:
    """Each file and folder is copied, and not kept from the engine."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    taken = {*wheel["packages"], *wheel["force-include"]}
    dockerfile = (ROOT / "deploy" / "docker" / "Dockerfile").read_text().splitlines()
    copied = {line.split()[1] for line in dockerfile if line.startswith("COPY ") and "--from" not in line}
    sent = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert taken <= copied and taken <= sent
