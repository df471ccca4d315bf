"""Spaces of paths: encoding both ways, what is refused, what counts."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import RecipeError
from evomerge.recipes.genes import Gene
from evomerge.recipes.paths import PathSpace

CHOICES = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)]
GENES = [Gene("mix.t", "float", 0.0, 1.0), Gene("mix.k", "int", 1, 3)]
SCALE = Gene("scale", "float", 0.5, 2.0, scale="log", default=1.0)
PLAIN = PathSpace(CHOICES, 4)
MIXED = PathSpace(CHOICES, 4, genes=GENES, scale=SCALE)


@st.composite
def encodings(draw: st.DrawFn, space: PathSpace) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Encodings of any path, with anything at the places that don't count."""
    n = draw(st.integers(1, space.max_steps))
    steps = draw(st.lists(st.integers(0, len(space.choices) - 1), min_size=n, max_size=n))
    n_places = space.n_dims - space.max_steps
    places = draw(st.lists(st.floats(0, 1), min_size=n_places, max_size=n_places))
    n_genes = len(space.genes)
    padding = [-1] * (space.max_steps - n)
    return np.array([*places[:n_genes], *steps, *padding, *places[n_genes:]], dtype=float)


@pytest.mark.parametrize("space", [PLAIN, MIXED])
@given(data=st.data())
def test_encode_gives_back_what_was_decoded(space: PathSpace, data: st.DataObject) -> None:
    x = data.draw(encodings(space))
    snapped = space.snap(x)
    genome = space.decode(x)
    np.testing.assert_array_equal(space.encode(genome), snapped)
    np.testing.assert_array_equal(space.snap(np.stack([x, snapped])), [snapped, snapped])
    assert space.decode(snapped) == genome


def test_a_path_decodes_to_plain_steps() -> None:
    x = np.array([0.25, 0.5, 2, 4, 1, -1, 0.9, 0.0, 1.0, 0.3])
    assert MIXED.decode(x) == {
        "mix.t": 0.25,
        "mix.k": 2,
        "path": [["b", 0, 1.0], ["b", 2, 0.5], ["a", 1, 2.0]],
    }


def test_paths_that_differ_only_where_nothing_counts_are_one() -> None:
    one = np.array([0.25, 0.5, 2, 4, -1, -1, 0.9, 0.2, 0.7, 0.3])
    two = np.array([0.25, 0.5, 2, 4, -1, -1, 0.1, 0.2, 0.1, 0.8])
    np.testing.assert_array_equal(MIXED.snap(one), MIXED.snap(two))
    assert MIXED.active(one).tolist() == [True] * 6 + [False, True, False, False]


def test_it_is_no_cube() -> None:
    assert not PLAIN.is_cube
    assert PLAIN.n_dims == 4
    assert MIXED.n_dims == 2 + 4 + 4


def test_the_plain_form_holds_choices_and_bound() -> None:
    plain = MIXED.to_dict()
    assert [gene["name"] for gene in plain["genes"]] == ["mix.t", "mix.k"]
    assert plain["path"]["choices"][3] == ["b", 1]
    assert plain["path"]["max_steps"] == 4
    assert plain["path"]["scale"]["low"] == 0.5


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([-1, -1, -1, -1], "length 0"),
        ([0, -1, 1, -1], "after a path's end"),
        ([0, 5, -1, -1], "got the step 5"),
        ([0, -2, -1, -1], "got the step -2"),
        ([0, 1, 2], "expected 4 numbers"),
        ([0, float("nan"), -1, -1], "with NaN"),
    ],
)
def test_what_is_no_path_is_refused(x: list[float], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        PLAIN.snap(np.array(x))
    with pytest.raises(RecipeError, match=message):
        PLAIN.decode(np.array(x))


@pytest.mark.parametrize(
    ("space", "path", "message"),
    [
        (PLAIN, [], "length 0; expected 1 to 4"),
        (PLAIN, [["a", 0, 1.0]] * 5, "length 5; expected 1 to 4"),
        (PLAIN, [["a", 7, 1.0]], "layer 7 of 'a'"),
        (PLAIN, [["a", 0, 1.0], ["a", 1, 2.0]], "scale 2 at step 1; all are 1"),
        (MIXED, [["a", 0, 2.0]], "scale 2 at step 0; the first step's is 1"),
    ],
)
def test_genomes_outside_are_refused(space: PathSpace, path: list[Any], message: str) -> None:
    genes = {"mix.t": 0.5, "mix.k": 1} if space is MIXED else {}
    with pytest.raises(RecipeError, match=message):
        space.encode(genes | {"path": path})


def test_scales_must_include_one() -> None:
    with pytest.raises(RecipeError, match="1 isn't in its values"):
        PathSpace(CHOICES, 4, scale=Gene("scale", "float", 1.5, 2.0, scale="log"))
