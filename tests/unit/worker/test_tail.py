"""A growing file is read in whole characters and kept small, whatever its writer does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridq.worker.tail import PART, Tail

MOST = 64 * 1024


class Written:
    """A file as a task prints into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def __call__(self, data: bytes) -> None:
        os.write(self.file, data)

    @property
    def size(self) -> int:
        return self.path.stat().st_size


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Written]:
    """What the task writes with."""
    written = Written(tmp_path / "printed")
    yield written
    try:
        os.close(written.file)
    except OSError:
        pass


@pytest.fixture
def tail(write: Written) -> Tail:
    """The reader of that file."""
    return Tail(os.open(write.path, os.O_RDONLY), MOST)


def texts(tail: Tail) -> list[str]:
    return [part.text for part in tail.look()]


def test_what_comes_is_read_once_and_in_whole_characters(write: Written, tail: Tail) -> None:
    write("grün €".encode()[:-1])
    assert texts(tail) == ["grün "]
    write("€".encode()[-1:])
    assert texts(tail) == ["€"]
    assert texts(tail) == []


def test_what_is_no_text_is_replaced_and_what_is_never_completed_comes_at_the_end(write: Written, tail: Tail) -> None:
    write(b"\xff\xfeA" + "€".encode()[:2])
    assert texts(tail) == ["\ufffd\ufffdA"]
    assert [part.text for part in tail.finish()] == ["\ufffd"]


def test_much_comes_in_parts_and_of_more_the_latest_is_kept(write: Written, tail: Tail) -> None:
    write(b"x" * 2 * PART)
    assert [len(text) for text in texts(tail)] == [PART, PART]
    write(b"y" * (MOST + 1000))
    first, *rest = tail.look()
    assert first.gap == 1000
    assert sum(len(part.text) for part in (first, *rest)) == MOST
    # Nobody has taken any of them: the oldest made room.
    assert sum(len(part.text) for part in tail.parts) <= MOST
    assert tail.parts[0].gap == 1000 + 2 * PART


def test_a_file_that_was_read_is_emptied_and_goes_on(write: Written, tail: Tail) -> None:
    total = 0
    for _ in range(40):
        write(b"x" * MOST)
        total += sum(len(text) for text in texts(tail))
        assert write.size <= 1024 * 1024
    assert total == 40 * MOST


def test_a_file_that_somebody_else_emptied_is_read_from_its_beginning(write: Written, tail: Tail) -> None:
    write(b"before")
    tail.look()
    os.truncate(write.path, 0)
    write(b"now")
    assert texts(tail) == ["now"]


def test_whether_somebody_may_still_write_is_known(write: Written, tail: Tail) -> None:
    assert tail.is_written
    os.close(write.file)
    assert not tail.is_written
    tail.close()
    assert write.size == 0, "the disk has its room back"
