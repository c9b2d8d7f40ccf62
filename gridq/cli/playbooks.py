"""The Ansible playbooks that come with gridq, and running one of them."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import gridq
from gridq.errors import GridqError

_PROGRAM = "ansible-playbook"
#: A wheel carries them in the package; in a checkout they lie beside it.
_PACKAGE = Path(gridq.__file__).parent
_FOLDERS = (_PACKAGE / "deployment" / "ansible", _PACKAGE.parent / "ansible")


@dataclass(frozen=True, slots=True)
class Playbooks:
    """Where the playbooks are, and the fleet that they are run on.

    Attributes:
        folder: has site.yml, its roles, and ansible.cfg.
        inventory: Ansible's; a file, or a folder of files.
    """

    folder: Path
    inventory: Path

    def command(self, name: str, values: Mapping[str, Any], arguments: Sequence[str] = ()) -> list[str]:
        """The command line of a playbook.

        Args:
            name: the playbook's, without `.yml`.
            values: extra variables.
            arguments: further ones for ansible-playbook, as the person typed them.
        """
        line = [_program(), "--inventory", str(self.inventory)]
        if values:
            line += ["--extra-vars", json.dumps(values)]
        return [*line, *arguments, str(self.folder / f"{name}.yml")]

    def become(self, name: str, arguments: Sequence[str]) -> NoReturn:
        """Run a playbook in this process' place: its output, its signals and its exit status are Ansible's own."""
        line = self.command(name, {}, arguments)
        os.execve(line[0], line, self._environment())

    def report(self, name: str, values: Mapping[str, Any]) -> Any:
        """Run a playbook that writes what it found into the file `gridq_report`, and return that.

        Raises:
            GridqError: when it wrote none, with the end of what Ansible said.
        """
        with tempfile.TemporaryDirectory(prefix="gridq-") as folder:
            file = Path(folder) / "report.json"
            line = self.command(name, {**values, "gridq_report": str(file)})
            done = subprocess.run(
                line, env=self._environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            if not file.exists():
                said = (done.stdout + done.stderr).strip()[-2000:]
                raise GridqError(
                    f"expected {name}.yml to say what it found, Ansible ended with {done.returncode}: {said}",
                    hint=f"{_PROGRAM} -i {self.inventory} {self.folder / name}.yml shows all of it",
                )
            return json.loads(file.read_text("utf-8"))

    def _environment(self) -> dict[str, str]:
        # Ansible looks for its settings where it is started, which may be anywhere.
        return {"ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"), **os.environ}


def find(folder: Path | None, inventory: Path) -> Playbooks:
    """The playbooks for the fleet of an inventory.

    Args:
        folder: where they are; None for those that came with gridq.

    Raises:
        GridqError: when there are none, or no such inventory.
    """
    if not inventory.exists():
        near = difflib.get_close_matches(inventory.name, _names(inventory.absolute().parent), n=1)
        hint = f"did you mean {inventory.parent / near[0]}?" if near else "inventory.example.yml is one to begin with"
        raise GridqError(f"expected an inventory, got none at {inventory}", hint=hint)
    places = _FOLDERS if folder is None else (folder,)
    for place in places:
        if (place / "site.yml").is_file():
            return Playbooks(place.absolute(), inventory.absolute())
    looked = " and ".join(str(place) for place in places)
    raise GridqError(f"expected the playbooks, got no site.yml in {looked}", hint="--playbooks DIR says where they are")


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []


def _program() -> str:
    program = shutil.which(_PROGRAM)
    if program is None:
        raise GridqError(
            f"expected {_PROGRAM} on PATH, got none",
            hint="pipx install ansible-core, or apt install ansible-core; only this machine needs it",
        )
    return program
