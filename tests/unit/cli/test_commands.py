"""The command line: help with examples, did-you-mean, errors in two lines, and exit statuses that mean something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result

from gridq.cli import celery_command, main
from gridq.cli.group import COMMANDS


@pytest.fixture(autouse=True)
def nobody_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings and no broker of the machine that the tests run on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDQ_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("GRIDQ_BROKER_URL", raising=False)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with this gridq also where it is not installed."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)


def gridq(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name: str) -> None:
    result = gridq(name, "--help")
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"gridq {name}" in result.output.partition("Example:")[2]


def test_the_help_lists_every_command_and_imports_none() -> None:
    program = (
        "import sys, gridq.cli\n"
        "try: gridq.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('celery', 'redis', 'rich', 'kombu', 'yaml') if name in sys.modules], file=sys.stderr)"
    )
    done = python("-c", program)
    assert done.stderr.strip() == "[]"
    assert all(name in done.stdout for name in COMMANDS)


def test_the_version_is_told() -> None:
    assert gridq("--version").output.startswith("gridq, version 0.")


def test_a_misspelt_command_is_met_with_the_right_one() -> None:
    result = gridq("stauts")
    assert result.exit_code == 2
    assert "hint: did you mean 'status'?" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("arguments", [["status"], ["gpus"], ["health"], ["explain", "x"], ["status", "--json"]])
def test_without_a_broker_the_status_is_2_and_the_hint_says_what_to_do(arguments: list[str]) -> None:
    done = python("-m", "gridq.cli", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: expected a broker")
    assert "hint: start one with `gridq up`" in done.stderr


def test_an_app_that_is_not_there_is_an_error_of_two_lines() -> None:
    result = gridq("-A", "nowhere.app", "status")
    assert result.exit_code == 1
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["error", "hint"]


def test_an_app_without_gridq_is_told_the_line_that_it_lacks() -> None:
    Path("plain.py").write_text("from celery import Celery\napp = Celery('plain')\n")
    done = python("-m", "gridq.cli", "-A", "plain", "status")
    assert done.returncode == 1
    assert "gridq.install(app)" in done.stderr


def test_gpus_that_cannot_be_simulated_are_refused_before_anything_starts() -> None:
    result = gridq("up", "--gpus", "sim:lots")
    assert result.exit_code == 1
    assert "hint:" in result.stderr


@pytest.mark.parametrize(
    ("named", "hint"),
    [
        ("shop.taks", "did you mean 'shop.tasks'?"),
        ("shpo", "did you mean 'shop'?"),
        ("stock.tasks", "it is looked for in "),
        ("shop.tasks.train", "it is looked for in "),
    ],
)
def test_tasks_that_do_not_exist_are_refused_before_anything_starts(named: str, hint: str) -> None:
    Path("shop").mkdir()
    Path("shop/__init__.py").touch()
    Path("shop/tasks.py").touch()
    Path("gridq.yaml").write_text(f"# comment\ntasks: [{named}]\n")
    done = python("-m", "gridq.cli", "up", "--gpus", "sim:24GiB", "--cpu", "0")
    assert (done.returncode, done.stdout) == (1, "")
    error, told = done.stderr.splitlines()
    assert error == f"error: gridq.yaml:2: expected a module that exists, got {named!r}"
    assert told.startswith(f"hint: {hint}")


def test_a_demo_without_numpy_says_what_to_install_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    result = gridq("demo")
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith("error: expected numpy to be installed")
    assert "hint: pip install 'gridq[examples]'" in result.stderr


def test_celery_mounts_the_same_commands() -> None:
    assert celery_command.name == "gridq"
    given = SimpleNamespace(app=SimpleNamespace())

    @click.group()
    @click.option("-A", "--app")
    @click.pass_context
    def celery(context: click.Context, app: str) -> None:
        context.obj = given

    celery.add_command(celery_command)
    result = CliRunner().invoke(celery, ["-A", "shop", "gridq", "status"])
    assert "expected shop to be an app with gridq" in result.stderr
    assert CliRunner().invoke(celery, ["gridq", "--help"]).output.count("Where a task is") == 1


def test_config_show_tells_every_setting_and_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDQ_LEASE", "30s")
    rows = {row["name"]: row for row in json.loads(gridq("config", "show", "--json").output)}
    assert (rows["lease"]["value"], rows["lease"]["source"]) == ("30s", "GRIDQ_LEASE")
    assert "GRIDQ_LEASE" in gridq("config", "show", "lease").output
    assert gridq("config", "show", "leese").exit_code == 1


def test_config_check_tells_every_problem_of_a_file() -> None:
    Path("wrong.yaml").write_text("leese: 10s\nheartbeat: never\n")
    result = gridq("config", "check", "wrong.yaml")
    assert result.exit_code == 1
    assert "wrong.yaml:1" in result.stderr and "wrong.yaml:2" in result.stderr
    Path("right.yaml").write_text("lease: 12s\n")
    assert gridq("config", "check", "right.yaml").output == "the settings are fine\n"


def test_each_of_several_wrong_settings_is_an_error_with_a_hint() -> None:
    Path("wrong.yaml").write_text("leese: 10s\nheartbeat: never\n")
    done = python("-m", "gridq.cli", "--config", "wrong.yaml", "status")
    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"] * 2


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["demo", "--limit", "x"], "invalid value for '--limit'", "see gridq demo --help"),
        (["explain"], "missing argument 'ID'", "see gridq explain --help"),
        (["status", "--json", "--watch"], "expected --json or --watch, got both", "see gridq status --help"),
        (["--nonsense"], "no such option", "see gridq --help"),
        (["dead", "lst"], "no such command 'lst'", "see gridq dead --help"),
    ],
)
def test_a_wrong_command_line_is_an_error_of_two_lines(arguments: list[str], said: str, hint: str) -> None:
    done = python("-m", "gridq.cli", *arguments)
    error, told = done.stderr.splitlines()
    assert done.returncode == 2
    assert error.startswith(f"error: {said}") and told == f"hint: {hint}"


def test_a_settings_file_can_be_named_on_the_command_line() -> None:
    Path("other.yaml").write_text("lease: 12s\n")
    done = python("-m", "gridq.cli", "--config", "other.yaml", "config", "show", "lease", "--json")
    assert json.loads(done.stdout)[0]["value"] == "12s"
