"""Who is let in by the firewall's rules, from the addresses, ranges and names of an inventory."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parents[3] / "ansible" / "roles" / "firewall" / "files"


def answer(places: list[str], **comers: list[str]) -> dict[str, Any]:
    """What Redis' host finds for these places, and hosts that come from these addresses."""
    asked = {"doors": {"redis": places}, "comers": comers}
    return dict(runpy.run_path(str(FILES / "networks.py"))["answer"](asked))


def test_ranges_are_the_same_in_whatever_order_and_never_overlap() -> None:
    """Else each run would load rules anew; and the kernel takes no overlaps."""
    places = ["10.0.0.11", "10.0.0.0/24", "10.0.1.7/24", "192.0.2.1", "fd00::1", "fd00::/64", "192.0.2.1"]
    found = answer(places)["doors"]["redis"]
    assert found == {"4": ["10.0.0.0/23", "192.0.2.1/32"], "6": ["fd00::/64"]}
    assert answer(places[::-1])["doors"]["redis"] == found


def test_a_name_stands_for_its_addresses() -> None:
    """As this host knows them."""
    found = answer(["localhost"])["doors"]["redis"]
    assert "127.0.0.1/32" in found["4"] or "::1/128" in found["6"]


@pytest.mark.parametrize("wrong", ["10.0.0.0/33", "no.such.name.invalid", "", "10.0.0.1; drop", "a" * 70 + ".b"])
def test_what_is_none_of_these_is_refused_with_a_hint(wrong: str) -> None:
    """Nothing of it reaches a file of rules."""
    with pytest.raises(SystemExit) as refused:
        answer(["10.0.0.1", wrong])
    assert f"got {wrong!r}" in str(refused.value) and "hint: " in str(refused.value)


def test_a_host_that_comes_from_elsewhere_is_named() -> None:
    """It would be shut out."""
    said = answer(["10.0.0.0/24", "fd00::1"], node1=["10.0.0.5"], node2=["10.0.0.6", "10.9.0.6"], node3=["fd00::1"])
    assert said["shut_out"] == {"node2": ["10.9.0.6"]}


def test_a_host_knows_from_where_it_reaches_another(capsys: pytest.CaptureFixture[str]) -> None:
    """Without sending anything there; one to which there is no way is left out."""
    main = runpy.run_path(str(FILES / "source.py"))["main"]
    main(["127.0.0.1", "no.such.name.invalid"])
    assert capsys.readouterr().out == '["127.0.0.1"]\n'
