"""What the scripts are called with."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from gridq.store.claims import Identity, Offer, Posting, claim_command, put_command, without_sha
from gridq.store.client import script_sha, script_text
from gridq.units import GIB

WHO = Identity("gpu0@node1", "gpu0@node1:c1")
FOLDER = Path(str(files("gridq.store") / "scripts"))
PRELUDE = ("shared", "records", "flow", "losses")
SCRIPTS = sorted({path.stem for path in FOLDER.glob("*.lua")} - set(PRELUDE))


def test_a_posting_says_its_delay_in_milliseconds_and_its_candidates_in_lines() -> None:
    posting = Posting("raw", "gpu.8g", "s", 8, ["a", "b"], 1.5, "d1", True, "t1", {"name": "n"}, 0.00025)
    assert posting.arguments() == ["raw", "gpu.8g", "s", 8, "a\nb", 1500, "d1", "1", "t1", 250, "name", "n"]


def test_a_posting_in_a_pipeline_carries_the_script_itself() -> None:
    posting = Posting("raw", "cpu")
    assert put_command(posting, "p:") == (script_text("put"), 0, "p:", *posting.arguments())


def test_a_look_names_each_queue_with_whether_its_messages_must_be_checked() -> None:
    offer = Offer(["gpu0@node1", "gpu.24g", "gpu.8g", "gpu", "cpu"], 2, 10 * GIB, 3024.0, "t")
    command = claim_command(WHO, "c-1", offer, ["", "x"], "p:")
    assert command[:3] == ("EVALSHA", script_sha("claim"), "0")
    assert command[3:11] == ("p:", "gpu0@node1", "gpu0@node1:c1", "c-1", "gpu0@node1", "3024", "2", str(10 * GIB))
    assert command[11:15] == ("t", "2", "", "x")
    assert command[15:] == (
        *("gpu0@node1", "1", "0"),
        *("gpu.24g", "1", str(24 * GIB)),
        *("gpu.8g", "1", str(8 * GIB)),
        *("gpu", "1", "0"),
        *("cpu", "0", "0"),
    )


def test_a_server_that_lost_its_scripts_is_sent_the_script_and_the_same_arguments() -> None:
    command = claim_command(WHO, "c-1", Offer(["cpu"], 1), [""], "")
    assert without_sha(command) == ("EVAL", script_text("claim"), *command[2:])


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_before_it_what_it_uses_and_no_more(name: str) -> None:
    own = (FOLDER / f"{name}.lua").read_text()
    before = script_text(name).removesuffix(own)
    used = set(re.findall(r"\w+", re.sub(r"--.*", "", own)))
    needed = [part for part in PRELUDE if used & functions((FOLDER / f"{part}.lua").read_text())]
    assert needed == [] or functions((FOLDER / f"{needed[-1]}.lua").read_text()) <= functions(before)
    last = next((part for part in reversed(PRELUDE) if (FOLDER / f"{part}.lua").read_text() in before), None)
    assert last == (needed[-1] if needed else None)


def functions(text: str) -> set[str]:
    """The names that a script defines for those behind it."""
    names = re.findall(r"^local function (\w+)", text, re.MULTILINE)
    for line in re.findall(r"^local ([\w, ]+) =", text, re.MULTILINE):
        names += line.split(", ")
    return set(names)
