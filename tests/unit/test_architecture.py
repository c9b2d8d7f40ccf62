"""The house keeps its shape: who imports whom, how large things are, which keys there are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import gridq.store.keys
from gridq.version import VERSION

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "gridq"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted(PACKAGE.rglob("*.lua"))
LINES_OF_A_FILE, LINES_OF_A_FUNCTION, PARAMETERS = 300, 50, 6


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_imports_point_down_only() -> None:
    command = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_gridq_imports_neither_celery_nor_redis() -> None:
    program = "import gridq, sys; print(*sorted({'celery', 'kombu', 'redis', 'yaml', 'pynvml'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_package_says_the_version_that_it_is_published_as() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"] == VERSION


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=name)
def test_a_file_fits_on_a_few_screens(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LINES_OF_A_FILE


def test_a_function_fits_on_a_screen() -> None:
    long = [
        f"{name(path)}:{node.lineno} {node.name} has {lines} lines"
        for path in MODULES
        for node in functions(path)
        if (lines := node.end_lineno - node.lineno + 1) > LINES_OF_A_FUNCTION  # type: ignore[operator]
    ]
    assert long == []


def test_a_function_has_few_parameters() -> None:
    crowded = []
    for path in MODULES:
        for node in functions(path):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = sum(argument.arg not in ("self", "cls") for argument in arguments)
            if count > PARAMETERS:
                crowded.append(f"{name(path)}:{node.lineno} {node.name} has {count} parameters")
    assert crowded == []


def used_keys(path: Path) -> set[str]:
    """The names behind `gridq:` that a file uses, without what is put in for their variable part."""
    text = path.read_text("utf-8")
    if path.suffix == ".lua":
        found = re.findall(r"G \.\. '([a-z:]+)'", text)
    else:
        found = re.findall(r"gridq:([a-z][a-z:]*)", text)
        if path.parent == PACKAGE / "store":
            found += re.findall(r'PREFIX \+ "([a-z:]+)"', text)
    return {key.rstrip(":") for key in found}


def test_every_key_in_redis_is_described_in_one_place() -> None:
    described = {key.rstrip(":") for key in re.findall(r"^\| `gridq:([a-z:]+)", gridq.store.keys.__doc__ or "", re.M)}
    assert len(described) >= 10
    used = {(key, name(path)) for path in [*MODULES, *SCRIPTS] for key in used_keys(path)}
    assert {(key, path) for key, path in used if key not in described} == set()
    assert described - {key for key, path in used if not path.endswith("keys.py")} == set()


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_a_script_says_what_it_does_and_what_its_arguments_are(path: Path) -> None:
    header = []
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("--"):
            break
        header.append(line)
    text = " ".join(header)
    assert len(text) > 40
    used = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", path.read_text("utf-8"))}
    told = {int(number) for number in re.findall(r"\b(\d+)(?:…| )", text)} | {1}
    assert used - told == set(), f"the header does not explain ARGV {sorted(used - told)}"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))
