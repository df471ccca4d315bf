"""Grading: exact, by pattern, as numbers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.evaluation.grading import extract, last_number, matches_exactly, matches_number


def test_exact_ignores_white_space_at_the_ends_only() -> None:
    assert matches_exactly(" ab c\n", ["ab c"])
    assert not matches_exactly("ab  c", ["ab c"])
    assert not matches_exactly("AB", ["ab"])
    assert matches_exactly("AB", ["x", "ab"], ignore_case=True)


def test_extract_takes_the_first_or_last_group() -> None:
    pattern = re.compile(r"answer is (\w+)")
    text = "the answer is yes; no, the answer is no"
    assert extract(text, pattern) == "yes"
    assert extract(text, pattern, last=True) == "no"
    assert extract("nothing", pattern) is None
    assert extract("a1b22", re.compile(r"\d+"), last=True) == "22"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so 1,234.5 in all", 1234.5),
        ("from 3 to -4", -4.0),
        ("about 2e5", 2e5),
        ("1,23", 23.0),
        (".5", 0.5),
        ("\u22127", -7.0),
        ("none", None),
        ("", None),
    ],
)
def test_last_number_reads_common_forms(text: str, number: float | None) -> None:
    assert last_number(text) == number


@given(st.integers(-(10**9), 10**9))
def test_numbers_match_however_they_are_written(number: int) -> None:
    assert matches_number(f"it is {number:,}.", [str(number)])
    assert not matches_number(f"it is {number + 1}", [str(number)])


def test_tolerance_is_relative() -> None:
    assert matches_number("101", ["100"], tolerance=0.01)
    assert not matches_number("102", ["100"], tolerance=0.01)
    assert not matches_number("no idea", ["100"], tolerance=9.0)
