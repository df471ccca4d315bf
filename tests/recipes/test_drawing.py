"""Routes as text: what is joined, what is marked, and that no step is lost on the way."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.recipes.drawing import (
    Drawing,
    draw_route,
    plain_text,
    short,
    text_rows,
)

Steps = Sequence[Mapping[str, Any]]


def layers(source: str, *indices: int, **numbers: float) -> list[Mapping[str, Any]]:
    return [{"source": source, "layer": index, **numbers} for index in indices]


def recipe(steps: Steps, *, sources: Sequence[str] = ("a", "b"), **ends: str) -> dict[str, Any]:
    stage = {"name": "mixed", "method": "ties", "inputs": [{"source": "a"}, {"source": "b"}]}
    flow = {"embedding": "a", "norm": "a", "head": "a", "steps": list(steps)} | ends
    return {"sources": {name: {} for name in sources}, "parameters": [stage], "dataflow": flow}


def drawn(steps: Steps, depths: Mapping[str, int] | None = None, **rest: Any) -> Drawing:
    found = draw_route(recipe(steps, **rest), depths)
    assert found is not None
    return found


numbers = st.sampled_from([1.0, 1.0, 0.5, -2.0, 1.0004])
steps = st.lists(
    st.fixed_dictionaries(
        {"source": st.sampled_from(["a", "b", "mixed"]), "layer": st.integers(0, 12)},
        optional={"scale": numbers, "qk": numbers.map(abs), "write": numbers},
    ),
    min_size=1,
    max_size=60,
)


def test_a_recipe_without_a_dataflow_has_no_drawing() -> None:
    assert draw_route(recipe([]) | {"dataflow": None}) is None


def test_the_whole_drawing_worked_by_hand() -> None:
    route = [
        *layers("a", 0, 1, 2),
        *layers("b", 2, scale=0.9),
        *layers("b", 3),
        *layers("a", 5, 5, write=0.5),
        *layers("mixed", 6),
    ]
    text = plain_text(drawn(route, {"a": 11, "b": 12}, head="b"), 80)
    assert text == (
        "Route: 8 steps through A, B and C\n"
        "\n"
        "     embedding A → A0–2 → 0.9·B2–3 → A5 {write 0.5} (2 times) → C6 → norm A →\n"
        "     head B\n"
        "\n"
        "0.9·B2: the hidden state is multiplied by 0.9 before layer 2 of B.\n"
        "write: what the layer adds to the hidden state is multiplied by it.\n"
        "Layers: ■ taken once, · skipped, 2–9 so often\n"
        "A  a: 4 of 11 layers in 5 steps\n"
        "   0 ■■■··2···· ·\n"
        "B  b: 2 of 12 layers in 2 steps\n"
        "   0 ··■■······ ··\n"
        "C  mixed (ties of a, b): 1 of 11 layers in 1 step\n"
        "   0 ······■··· ·\n"
    )


@given(steps)
def test_runs_hold_every_step_in_order(route: Steps) -> None:
    found = drawn(route)
    unrolled = []
    for run in found.runs:
        for layer in [*range(run.start, run.stop)] * run.times:
            scale = run.scale if layer == run.start else 1.0
            unrolled.append((run.lane.name, layer, scale, run.qk, run.write))
    numbers = ("scale", "qk", "write")
    assert unrolled == [
        (s["source"], s["layer"], *(s.get(name, 1.0) for name in numbers)) for s in route
    ]


@given(steps, st.integers(12, 120))
def test_wrapping_keeps_the_flow_and_the_width(route: Steps, width: int) -> None:
    found = drawn(route)
    rows = text_rows(found, width)
    flow = rows[2 : rows.index((), 2)]
    joined = " ".join("".join(cell.text for cell in row[1:]).strip() for row in flow)
    assert joined == found.sentence()
    for row in flow:
        cells = [cell for cell in row if cell.text != " → "]
        line = "".join(cell.text for cell in row).rstrip()
        assert len(line) <= width or len(cells) == 2


@given(steps)
def test_a_row_is_numbered_by_its_first_step(route: Steps) -> None:
    found = drawn(route)
    rows = text_rows(found, 40)
    for row in rows[2 : rows.index((), 2)]:
        if row[0].text.strip():
            step = route[int(row[0].text) - 1]
            assert re.search(r"[A-Z](\d+)", row[1].text)[1] == str(step["layer"])


def test_a_source_that_only_gives_the_head_is_named() -> None:
    text = plain_text(drawn(layers("a", 0), {"b": 4}, head="b"), 80)
    assert "B  b: none of 4 layers\n   0 ····\n" in text
    assert "Route: 1 step through A\n" in text


def test_a_depth_that_isn_t_known_is_not_made_up() -> None:
    text = plain_text(drawn([*layers("a", 1), *layers("mixed", 2)], {"a": 11}), 80)
    assert "A  a: 1 of 11 layers in 1 step\n" in text
    assert "C  mixed (ties of a, b): 1 layer in 1 step\n   0 ··■\n" in text


def test_letters_and_colours_don_t_depend_on_which_sources_are_taken() -> None:
    some = drawn(layers("b", 0), embedding="b", norm="b", head="b")
    assert [(lane.letter, lane.index) for lane in some.lanes] == [("B", 1)]


def test_letters_go_on_after_z() -> None:
    names = [f"s{index}" for index in range(60)]
    found = drawn(
        [step for name in names for step in layers(name, 0)],
        sources=names,
        **dict.fromkeys(("embedding", "norm", "head"), "s0"),
    )
    letters = [lane.letter for lane in found.lanes]
    assert [letters[i] for i in (0, 25, 26, 51, 52)] == ["A", "Z", "AA", "AZ", "BA"]
    assert len(set(letters)) == 60


def test_counts_above_nine_have_a_sign() -> None:
    text = plain_text(drawn(layers("a", *([0] * 9), *([1] * 10))), 80)
    assert "A0 (9 times) → A1 (10 times)" in text
    assert "   0 9+\n" in text
    assert "+ more often" in text


def test_a_repeated_block_and_a_repeated_layer_are_joined() -> None:
    block = layers("a", 3, 4, 5)
    found = drawn([*block, *block, *block, *layers("a", 6, 6, 7)])
    assert found.sentence() == "embedding A → A3–5 (3 times) → A6 (2 times) → A7 → norm, head A"


def test_many_layers_are_counted_in_tens_over_several_rows() -> None:
    text = plain_text(drawn(layers("a", *range(45))), 40)
    assert "   0 ■■■■■■■■■■ ■■■■■■■■■■ ■■■■■■■■■■\n  30 ■■■■■■■■■■ ■■■■■\n" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.91234, "0.912"),
        (1.0, "1"),
        (1.0004, "1.0004"),
        (1 + 2**-50, "1.0000000000000009"),
        (-1, "-1"),
    ],
)
def test_numbers_are_short_but_only_one_is_1(value: float, text: str) -> None:
    assert short(value) == text
