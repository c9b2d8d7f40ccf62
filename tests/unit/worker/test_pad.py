"""Whose words are on a child's pad, and what becomes of it when a task has printed, and when it has not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gridq.worker.pad import Pad, collect, open_for, owner, pads


class Desk:
    """The two folders of a worker."""

    def __init__(self, root: Path) -> None:
        self.pads, self.printed = root / "pads", root / "printed"
        self.printed.mkdir()
        self.pad = Pad(self.pads, self.printed)

    def run(self, name: str, words: bytes = b"") -> None:
        """A task of that name, from beginning to end."""
        file = self.pad.begin(name)
        os.write(file, words)
        self.pad.end(file, name)

    @property
    def file(self) -> Path:
        """The child's file."""
        (found,) = pads(self.pads)
        return found

    @property
    def kept(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.printed.iterdir()}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_tasks_that_print_nothing_leave_the_file_to_the_next(desk: Desk) -> None:
    desk.run("one")
    inode = desk.file.stat().st_ino
    desk.run("two")
    assert desk.file.stat().st_ino == inode and desk.kept == {} and owner(desk.file) is None


def test_a_task_that_has_printed_takes_its_words_along(desk: Desk) -> None:
    desk.run("one", b"words of one")
    desk.run("two")
    desk.run("three", b"words of three")
    assert desk.kept == {"one": "words of one", "three": "words of three"}


def test_whose_words_they_are_is_known_while_the_task_runs(desk: Desk) -> None:
    file = desk.pad.begin("one")
    assert owner(desk.file) is None, "it has said nothing yet"
    os.write(file, b"word")
    assert owner(desk.file) == "one" and open_for("two", desk.file) is None
    reading = open_for("one", desk.file)
    assert reading is not None and os.read(reading, 100) == b"word"
    os.close(reading)
    desk.pad.end(file, "one")


def test_what_somebody_reads_is_never_written_by_the_next_task(desk: Desk) -> None:
    file = desk.pad.begin("one")
    os.write(file, b"words that are taken away again")
    reading = open_for("one", desk.file)
    assert reading is not None
    os.ftruncate(file, 0)
    desk.pad.end(file, "one")
    desk.run("two", b"words of two")
    assert os.read(reading, 100) == b"" and desk.kept == {"two": "words of two"}
    os.close(reading)


def test_what_a_task_has_left_behind_never_writes_into_the_next_ones_file(desk: Desk) -> None:
    file = desk.pad.begin("one")
    left = subprocess.Popen(
        [sys.executable, "-c", "input(); print('left behind')"], stdin=subprocess.PIPE, stdout=file, text=True
    )
    desk.pad.end(file, "one")
    file = desk.pad.begin("two")
    left.communicate("go on\n", timeout=30)
    desk.pad.end(file, "two")
    assert desk.kept == {}


def test_what_a_child_that_died_was_printing_is_kept_under_its_tasks_name(tmp_path: Path) -> None:
    printed = tmp_path / "printed"
    printed.mkdir()
    child = (
        "import os, pathlib; from gridq.worker.pad import Pad; root = pathlib.Path.cwd()\n"
        "os.write(Pad(root / 'pads', root / 'printed').begin('one'), b'last words'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", child], cwd=tmp_path, timeout=60, check=False)
    (pad,) = pads(tmp_path / "pads")
    assert owner(pad) == "one"
    collect(pad, printed)
    assert (printed / "one").read_text() == "last words" and list((tmp_path / "pads").iterdir()) == []


def test_the_pad_of_a_living_child_is_left_alone(desk: Desk) -> None:
    file = desk.pad.begin("one")
    os.write(file, b"word")
    collect(desk.file, desk.printed)
    assert owner(desk.file) == "one"
    desk.pad.end(file, "one")


def test_a_folder_that_was_tidied_away_comes_back(desk: Desk) -> None:
    desk.run("one")
    for path in desk.pads.iterdir():
        path.unlink()
    desk.pads.rmdir()
    desk.run("two", b"words of two")
    assert desk.kept == {"two": "words of two"}
