"""The rules of Redis' users for deployments are those of the source."""

from __future__ import annotations

import runpy
from pathlib import Path

import yaml

from gridq.store import acl

REDIS = Path(__file__).parents[3] / "deploy" / "redis"


def test_the_file_of_rules_is_as_its_source_has_it() -> None:
    """`python deploy/redis/build.py` writes it."""
    text = (REDIS / "acl.yml").read_text("utf-8")
    assert runpy.run_path(str(REDIS / "build.py"))["text"]() == text
    assert yaml.safe_load(text) == {role: " ".join(acl.rules(role)) for role in acl.ROLES}
