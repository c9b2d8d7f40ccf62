"""What each role may do in Redis: every key of gridq's is thought of, and nobody gets more than the role says."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest

from gridq.store import acl, keys
from gridq.store.acl import ROLES, Grant, Scope, grants, rules

#: `gridq:task:<id>` as the table of keys.py has it, with something in the place of what varies.
KEYS = [re.sub(r"<\w+>", "x", key) for key in re.findall(r"^\| `(gridq:[^`]+)`", keys.__doc__ or "", re.MULTILINE)]
DANGEROUS = {"keys", "scan", "config", "flushall", "flushdb", "debug", "shutdown", "acl", "monitor", "save", "rename"}


def commands(role: str, key: str, *, writing: bool) -> set[str]:
    """What a role may do with a key."""
    found: set[str] = set()
    for grant in grants(role, Scope()):
        if any(fnmatchcase(key, pattern) for pattern in (grant.writes if writing else grant.reads)):
            found |= set(grant.commands.split())
    return found


def test_the_table_of_keys_is_read() -> None:
    assert len(KEYS) > 30 and "gridq:claims:x" in KEYS


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_read_by_monitors_and_workers_and_written_by_somebody(key: str) -> None:
    assert commands("monitor", key, writing=False) and commands("worker", key, writing=False)
    assert commands("worker" if key != keys.DRAINS else "operator", key, writing=True)


@pytest.mark.parametrize("key", [*KEYS, "gpu", "gpu0@node1\x06\x163", "celery-task-meta-x", "_kombu.binding.gridq"])
def test_a_monitor_writes_nothing(key: str) -> None:
    assert commands("monitor", key, writing=True) == set()


def test_a_producer_has_nothing_to_do_with_claims_leases_output_or_the_ends_of_tasks() -> None:
    allowed = {"gridq:workers", "gridq:gpus", "gridq:drains", "gridq:constrained", "gridq:counters"}
    allowed |= {key for key in KEYS if key.split(":")[1] in ("task", "tasks", "ready", "consumer", "wake", "delayed")}
    for key in set(KEYS) - allowed - {"gridq:counters:tasks"}:
        assert commands("producer", key, writing=False) | commands("producer", key, writing=True) == set(), key
    for queue in ("gpu", "cpu@node1", "gpu.8g\x06\x163"):
        assert commands("producer", queue, writing=True) == {"lpush", "llen"}
        assert commands("producer", queue, writing=False) == set()


@pytest.mark.parametrize("role", ROLES)
def test_no_role_has_a_dangerous_command_or_a_key_of_everything(role: str) -> None:
    for grant in grants(role, Scope()):
        assert not DANGEROUS.intersection(command.partition("|")[0] for command in grant.commands.split())
        assert not {"*", "**", ""}.intersection((*grant.reads, *grant.writes, *grant.channels))
    assert "+@all" not in " ".join(rules(role)) and "allkeys" not in " ".join(rules(role))


def test_everything_stands_behind_the_prefix() -> None:
    scope = Scope(prefix="shop:", results_prefix="back:", database=3, queues=("slow", "train*"))
    for role in ROLES:
        for grant in grants(role, scope):
            for name in (*grant.reads, *grant.writes, *grant.channels):
                assert name.startswith(("shop:", "back:celery-task")), name
    text = " ".join(rules("worker", scope))
    assert "&shop:/3.celery.pidbox" in text and "~shop:train*" in text
    assert "~shop:slow " in text and "~shop:slow[^!-~]*" in text


def test_a_grant_is_a_selector_with_reading_writing_and_both_told_apart() -> None:
    grant = Grant("get set", reads=("a", "b"), writes=("b", "c"), channels=("d",))
    assert grant.selector() == "(+get +set ~b %R~a %W~c &d)"


def test_the_rules_take_away_what_a_user_could_do_before() -> None:
    assert rules("monitor")[:4] == ["resetkeys", "resetchannels", "clearselectors", "-@all"]
    assert acl.ROLES == ("producer", "worker", "monitor", "operator")
