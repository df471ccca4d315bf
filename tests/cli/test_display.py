"""What is printed: texts as they are, numbers for people, JSON that any reader takes."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from evomerge.cli import display


@dataclass(frozen=True)
class _Record:
    name: str
    path: Path
    scores: dict[str, float]
    _hidden: int = 0


def test_json_holds_dataclasses_and_paths_and_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    display.print_json({"record": _Record("ü", Path("a/b"), {"x": float("nan"), "y": 0.5})})
    out = capsys.readouterr().out
    assert json.loads(out) == {
        "record": {"name": "ü", "path": "a/b", "scores": {"x": None, "y": 0.5}}
    }
    assert "ü" in out


def test_markup_in_cells_is_shown_not_followed(capsys: pytest.CaptureFixture[str]) -> None:
    display.print_table(display.table("[red]title", ["a[b]c"], [["[bold]x[/bold] [/oops]"]]))
    out = capsys.readouterr().out
    for text in ("[red]title", "a[b]c", "[bold]x[/bold] [/oops]"):
        assert text in out


def test_intervals_go_below_values_where_the_screen_is_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    score = display.interval(0.51, 0.466, 0.554, 3)
    monkeypatch.setenv("COLUMNS", "40")
    display.print_scores("", ["model", "sort (exact)"], [["a", score]])
    assert "0.510 [0.466, 0.554]" in capsys.readouterr().out
    display.print_scores("", ["model", "sort (exact)", "mean (maximize)"], [["a", score, score]])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if "0." in line] == [
        ["a", "0.510", "0.510"],
        ["[0.466,", "0.554]", "[0.466,", "0.554]"],
    ]


def test_long_cells_are_folded_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    display.print_table(display.table("", ["text"], [["x" * 500]]))
    assert capsys.readouterr().out.count("x") == 500 + 1  # the heading has one, too


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3840, "1 h 04 min")],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert display.duration(seconds) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (7_250_000_000, "7.25 GB"), (2e15, "2e+03 TB")],
)
def test_sizes_read_well(n_bytes: int, text: str) -> None:
    assert display.size(int(n_bytes)) == text


def test_intervals_follow_their_value() -> None:
    assert display.interval(0.641, 0.61, 0.671) == "0.6410 [0.6100, 0.6710]"
    assert display.interval(12345.678, None, None) == "12345.7"
    assert display.interval(None, None, None) == "–"
