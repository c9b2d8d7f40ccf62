"""What the scripts are called with."""

from __future__ import annotations

import pytest

from gridq.store.claims import Identity, Offer, Posting, claim_command, put_command, without_sha
from gridq.store.client import script_sha, script_text
from gridq.units import GIB

WHO = Identity("gpu0@node1", "gpu0@node1:c1")
NAMES = ("put", "claim", "ack", "release", "retire", "postpone", "heartbeat", "living", "forget")


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


@pytest.mark.parametrize("name", NAMES)
def test_every_script_has_the_shared_functions_before_it(name: str) -> None:
    text = script_text(name)
    assert text.startswith(script_text("shared")[:200]) and len(text) > len(script_text("shared")) / 2
    assert len(script_sha(name)) == 40
