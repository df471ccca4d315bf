"""Genes: their grids, exact both ways."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import RecipeError
from evomerge.recipes.genes import Gene

unit = st.floats(0, 1)
bounds = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda v: v == 0 or abs(v) > 1e-6)


@st.composite
def genes(draw: st.DrawFn) -> Gene:
    kind = draw(st.sampled_from(["linear", "step", "log", "log step", "int", "log int", "choices"]))
    if kind == "choices":
        values = st.one_of(st.booleans(), st.integers(), st.text(max_size=3))
        return Gene(
            "g", "categorical", choices=tuple(draw(st.lists(values, min_size=1, max_size=9)))
        )
    low, high = sorted((draw(bounds), draw(bounds)))
    if kind.startswith("log"):
        low = max(abs(low), 1e-6)
        high = low * draw(st.floats(1.01, 1e5))
    if kind.endswith("int"):
        low, high = math.ceil(low), math.ceil(low) + draw(st.integers(0, 1000))
        low, high = max(low, 1 if kind == "log int" else low), max(high, 1)
    scale: Any = "log" if kind.startswith("log") else "linear"
    step = 0.0
    if kind.endswith("step"):
        step = draw(st.sampled_from([0.001, 0.25, 1 / 3, 2.0]))
        high = max(high, low + 2 * step)
    return Gene("g", "int" if kind.endswith("int") else "float", low, high, scale, step)


def decode(gene: Gene, x: float) -> Any:
    return gene.python(float(gene.values(np.array([x]))[0]))


def encode(gene: Gene, value: Any) -> float:
    return float(gene.places(np.array([gene.number(value)]))[0])


@given(genes(), unit)
def test_decoding_what_was_encoded_gives_the_value_back(gene: Gene, x: float) -> None:
    if gene.kind == "categorical" and len(set(map(repr, gene.choices))) < len(gene.choices):
        gene = Gene("g", "categorical", choices=tuple(range(len(gene.choices))))
    value = decode(gene, x)
    place = encode(gene, value)
    assert 0 <= place <= 1
    again = decode(gene, place)
    if gene.kind == "categorical":
        assert again == value or repr(again) == repr(value)
    else:
        assert again == value
        assert gene.low <= value <= gene.high
    assert encode(gene, again) == place


@given(genes(), unit, unit)
def test_numbers_grow_with_their_place(gene: Gene, x: float, y: float) -> None:
    if gene.kind != "categorical" and x <= y:
        assert decode(gene, x) <= decode(gene, y)


@given(unit)
def test_linear_floats_have_six_decimals(x: float) -> None:
    value = decode(Gene("g", "float", -0.5, 1.5), x)
    assert value == round(value, 6)
    assert len(repr(abs(value)).partition(".")[2]) <= 6 or "e" in repr(value)
    assert abs(value - (-0.5 + 2 * x)) <= 0.5000001e-6


def test_a_value_reads_as_it_was_written() -> None:
    gene = Gene("g", "float", 0.0, 1.0)
    assert decode(gene, 0.7312041) == 0.731204
    assert [decode(gene, x) for x in (0.0, 1.0, 0.5)] == [0.0, 1.0, 0.5]
    assert gene.nearest(1 / 3) == 0.333333


@given(unit)
def test_log_floats_have_six_significant_digits(x: float) -> None:
    value = decode(Gene("g", "float", 1e-6, 10.0, "log"), x)
    assert value == float(f"{value:.5e}")
    assert value == pytest.approx(1e-6 * 1e7**x, rel=1e-5)


def test_steps_are_clean_multiples_in_cells_of_equal_width() -> None:
    gene = Gene("g", "float", 0.0, 1.0, step=0.001)
    values = gene.values(np.linspace(0, 1, 2003))
    assert set(values) == {k / 1000 for k in range(1001)}
    assert encode(gene, 0.5) == 0.5
    off_grid = Gene("g", "float", 0.05, 0.5, step=0.1)  # the ends aren't multiples
    assert sorted(set(off_grid.values(np.linspace(0, 1, 99)))) == [0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize(
    "gene", [Gene("g", "int", 3, 7), Gene("g", "categorical", choices=("a", "b", "c", "d", "e"))]
)
def test_whole_numbers_and_choices_have_equal_shares(gene: Gene) -> None:
    values = [decode(gene, x) for x in np.linspace(0, 1, 1000, endpoint=False)]
    assert all(values.count(value) == 200 for value in set(values))
    assert encode(gene, values[0]) == pytest.approx(0.1)
    assert type(values[0]) is (int if gene.kind == "int" else str)


def test_a_value_off_the_range_or_grid_is_refused() -> None:
    gene = Gene("s.t", "float", 0.0, 1.0, step=0.25)
    assert gene.nearest(0.5) == 0.5
    for value in (0.6, 1.5, -0.2):
        with pytest.raises(RecipeError, match=r"'s.t': .* isn't in its values, 0 to 1 in steps of"):
            gene.nearest(value)
    with pytest.raises(RecipeError, match="got True, expected a number"):
        gene.nearest(True)
    with pytest.raises(RecipeError, match="got 'x', expected one of a, b"):
        Gene("g", "categorical", choices=("a", "b")).nearest("x")


def test_true_is_not_one() -> None:
    gene = Gene("g", "categorical", choices=(1, True))
    assert gene.number(True) == 1.0
    assert gene.number(1) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "float", "low": 2.0, "high": 1.0}, "has the range 2.0 to 1.0"),
        ({"kind": "float", "low": 0.0, "scale": "log"}, "log scale and low 0"),
        ({"kind": "float", "low": 0.1, "high": 0.2, "step": 0.5}, "no multiple of 0.5"),
        ({"kind": "int", "low": 0.2, "high": 0.8}, "no multiple of 1"),
        ({"kind": "categorical"}, "has no choices"),
        ({"kind": "float", "high": math.inf}, "expected finite numbers"),
    ],
)
def test_a_gene_without_values_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Gene("g", **arguments)
