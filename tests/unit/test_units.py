"""Bytes and seconds are read as people write them, and written so that they can be read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridq.units import GIB, KIB, MIB, TIB, format_bytes, format_seconds, parse_bytes, parse_seconds


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("8GiB", 8 * GIB),
        (" 512 MiB ", 512 * MIB),
        ("24GB", 24 * 10**9),
        ("1.5gib", GIB + GIB // 2),
        ("0", 0),
        ("17", 17),
        (17, 17),
        (0, 0),
        ("1TiB", TIB),
    ],
)
def test_bytes_are_read_as_people_write_them(text: object, amount: int) -> None:
    assert parse_bytes(text) == amount


@pytest.mark.parametrize("text", ["", "8 G", "GiB", "-1", -1, "8GiB8", 1.5, True, None, [], "nan", "2048TiB", 2**51])
def test_what_is_no_amount_of_memory_is_refused_with_what_came(text: object) -> None:
    with pytest.raises(ValueError, match="expected an amount of memory") as caught:
        parse_bytes(text)
    assert repr(text) in str(caught.value)


@given(st.integers(0, 2**50))
def test_every_whole_number_of_bytes_is_taken_as_it_is(amount: int) -> None:
    assert parse_bytes(amount) == amount


@given(st.integers(0, 2**50))
def test_formatted_bytes_read_back_to_within_half_a_tenth_of_their_unit(amount: int) -> None:
    text = format_bytes(amount)
    unit = next(
        size for name, size in (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1)) if name in text
    )
    assert abs(parse_bytes(text) - amount) <= unit * 0.05 + 1


@given(st.integers(1, 1023), st.sampled_from([KIB, MIB, GIB, TIB]))
def test_whole_units_read_back_exactly(count: int, unit: int) -> None:
    assert parse_bytes(format_bytes(count * unit)) == count * unit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15s", 15), ("500ms", 0.5), ("2h", 7200), ("1.5 m", 90), ("1d", 86400), ("7", 7), (7, 7), (0.25, 0.25), (0, 0)],
)
def test_seconds_are_read_as_people_write_them(text: object, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-1s", -1, "1h30m", "soon", float("nan"), float("inf"), True, None, "1y"])
def test_what_is_no_time_is_refused_with_what_came(text: object) -> None:
    with pytest.raises(ValueError, match="expected a time") as caught:
        parse_seconds(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.85, "850ms"),
        (12, "12s"),
        (12.34, "12.3s"),
        (200, "3m 20s"),
        (7500, "2h 05m"),
        (273600, "3d 04h"),
        (0, "0ms"),
    ],
)
def test_times_are_written_with_two_units_at_most(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@given(st.floats(0, 60, exclude_max=True))
def test_times_below_a_minute_never_show_as_a_minute_or_as_a_thousand_milliseconds(seconds: float) -> None:
    assert format_seconds(seconds) not in ("60s", "1000ms")


@given(st.integers(1, 1023), st.sampled_from([KIB, MIB, GIB]))
def test_bytes_just_below_a_unit_never_show_as_1024_of_the_smaller_one(count: int, unit: int) -> None:
    assert not format_bytes(1024 * unit - count).startswith("1024")
