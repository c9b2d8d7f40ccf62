"""What Ansible's roles say of their variables is what they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted((Path(__file__).parents[3] / "ansible" / "roles").iterdir())


def read(file: Path) -> dict[str, Any]:
    """A YAML file; empty where there is none."""
    return (yaml.safe_load(file.read_text("utf-8")) or {}) if file.exists() else {}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: str(role.name))
def test_the_defaults_that_are_told_are_those_that_hold(role: Path) -> None:
    """Each option is described, and has a default unless it must be said."""
    defaults = read(role / "defaults" / "main.yml")
    for entry in read(role / "meta" / "argument_specs.yml")["argument_specs"].values():
        for name, option in entry["options"].items():
            assert name.startswith(role.name + "_") and option["type"] and option["description"]
            assert (name in defaults) != option.get("required", False), name
            assert option.get("default", defaults.get(name)) == defaults.get(name), name
