"""Search spaces without recipes: encoding, conditional genes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from evomerge.errors import RecipeError
from evomerge.recipes.space import Gene, SearchSpace

SPACE = SearchSpace(
    [
        Gene("weight", "float", -0.5, 1.5),
        Gene("weight2", "float", -0.5, 1.5),
        Gene("density", "float", 0.1, 1.0, step=0.001),
        Gene("scale", "float", 1e-3, 10.0, scale="log"),
        Gene("layers", "int", 1, 9),
        Gene("mode", "categorical", choices=("sum", "mean", "none")),
        Gene("normalize", "categorical", choices=(False, True), active_if=("mode", ("sum",))),
        Gene("lambda", "float", 0.0, 2.0, active_if=("normalize", (False,)), default=1.0),
    ]
)
points = arrays(np.float64, 8, elements=st.floats(-0.5, 1.5))


@given(points)
def test_decode_gives_back_what_was_encoded(x: NDArray[np.float64]) -> None:
    genome = SPACE.decode(x)
    encoded = SPACE.encode(genome)
    assert ((encoded >= 0) & (encoded <= 1)).all()
    assert SPACE.decode(encoded) == genome
    np.testing.assert_array_equal(SPACE.encode(SPACE.decode(encoded)), encoded)


@given(points)
def test_snap_is_encode_of_decode(x: NDArray[np.float64]) -> None:
    expected = SPACE.encode(SPACE.decode(x))
    np.testing.assert_array_equal(SPACE.snap(x), expected)
    np.testing.assert_array_equal(SPACE.snap(np.stack([x, expected])), [expected, expected])


@given(points)
def test_genes_that_dont_count_show_their_default(x: NDArray[np.float64]) -> None:
    genome, active = SPACE.decode(x), SPACE.active(x)
    assert active[:6].all()
    assert active[6] == (genome["mode"] == "sum")
    assert active[7] == (genome["mode"] == "sum" and genome["normalize"] is False)
    if not active[7]:
        assert genome["lambda"] == 1.0
    if not active[6]:
        assert genome["normalize"] is True  # the middle of its two cells


def test_values_have_python_types() -> None:
    genome = SPACE.decode(np.full(8, 0.1))
    assert [type(value) for value in genome.values()] == [
        float,
        float,
        float,
        float,
        int,
        str,
        bool,
        float,
    ]


def test_to_dict_is_plain() -> None:
    genes = SPACE.to_dict()["genes"]
    assert genes[2] == {
        "name": "density",
        "kind": "float",
        "low": 0.1,
        "high": 1.0,
        "scale": "linear",
        "step": 0.001,
    }
    assert genes[7]["active_if"] == ["normalize", [False]]


def test_wrong_encodings_and_genomes_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"shape \(3,\); expected 8 numbers"):
        SPACE.decode(np.zeros(3))
    with pytest.raises(RecipeError, match="with NaN"):
        SPACE.snap(np.full(8, np.nan))
    with pytest.raises(RecipeError, match="'weight' missing or unknown"):
        SPACE.encode(dict.fromkeys(list(SPACE.decode(np.zeros(8)))[1:], 0))
    with pytest.raises(RecipeError, match="this space has no recipe"):
        SPACE.recipe({})
    assert SPACE.warm_starts() == []


def test_genes_that_cant_stand_together_are_refused() -> None:
    with pytest.raises(RecipeError, match="two genes are called 'a'"):
        SearchSpace([Gene("a", "float"), Gene("a", "float")])
    with pytest.raises(RecipeError, match="depends on 'b', which doesn't stand before it"):
        SearchSpace([Gene("a", "float", active_if=("b", (1,))), Gene("b", "int")])


def _first_positive(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The second gene counts where the first is above 0, the rest always."""
    mask = np.ones(numbers.shape, dtype=bool)
    mask[..., 1] = numbers[..., 0] > 0
    return mask


HOPS = SearchSpace(
    [
        Gene("where", "float", -1.0, 1.0),
        Gene("mode", "categorical", choices=("a", "b"), default="b", prior=0.75),
        Gene("scale", "float", 0.5, 2.0, scale="log", active_if=("mode", ("a",)), default=1.0),
    ],
    activity=_first_positive,
)


@given(arrays(np.float64, (4, 3), elements=st.floats(0, 1)))
def test_what_the_activity_switches_off_shows_its_default(x: NDArray[np.float64]) -> None:
    rows = [HOPS.decode(row) for row in x]
    active = HOPS.active(x)
    for row, mask in zip(rows, active, strict=True):
        assert mask[1] == (row["where"] > 0)
        assert mask[2] == (row["where"] > 0 and row["mode"] == "a")
        assert mask[1] or row["mode"] == "b"
        assert mask[2] or row["scale"] == 1.0
    np.testing.assert_array_equal(HOPS.snap(x), [HOPS.encode(row) for row in rows])


def test_a_prior_is_stored_and_bounded() -> None:
    assert HOPS.to_dict()["genes"][1]["prior"] == 0.75
    assert HOPS.is_cube
    with pytest.raises(RecipeError, match="expected 0 to 1"):
        Gene("x", "float", prior=1.5)
