import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import RecipeError
from evomerge.recipes.crossing import Crossable
from evomerge.recipes.lineage import (
    SEEDS,
    Lineage,
    LineageSpace,
    is_lineage,
    lineage_of,
    lineage_recipe,
    parse_lineage,
)
from evomerge.recipes.recipe import Source
from tests.search.segmented import space_of

NETWORK = Source("network", "network:mlp", "a" * 64)

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
lineages = st.one_of(
    st.builds(Lineage, seed=st.integers(0, SEEDS - 1), std=st.floats(0.001, 1)),
    st.builds(
        Lineage,
        seed=st.integers(0, SEEDS - 1),
        std=st.just(0.01),
        parents=st.tuples(digests, digests),
        weight=st.floats(0, 1),
        cut=st.integers(0, 99),
    ),
)


def space(**settings: object) -> LineageSpace:
    return LineageSpace(NETWORK, 100, **settings)  # type: ignore[arg-type]


@given(lineages)
def test_a_recipe_says_all_of_a_lineage_in_plain_form_too(lineage: Lineage) -> None:
    recipe = lineage_recipe(NETWORK, lineage)
    assert lineage_of(recipe) == lineage
    plain = json.loads(json.dumps(recipe.to_dict()))
    assert is_lineage(plain)
    assert parse_lineage(plain) == recipe
    assert parse_lineage(plain).hash() == recipe.hash()


@given(lineages)
def test_an_encoding_holds_every_bit_of_a_genome(lineage: Lineage) -> None:
    searched = space()
    genome = searched.genome_of(lineage_recipe(NETWORK, lineage))
    x = searched.encode(genome)
    assert searched.decode(searched.snap(x)) == genome
    assert searched.genome_of(searched.recipe(genome)) == genome


def test_a_child_names_its_parents_by_their_recipes() -> None:
    searched = space(seed=3)
    (_, one), (_, two) = searched.founders()
    child = searched.cross(one, two, np.random.default_rng(0))
    recipe = searched.recipe(searched.decode(child))
    parents = [searched.recipe(searched.decode(x)).hash() for x in (one, two)]
    assert [source.sha256 for source in recipe.sources[1:]] == parents
    other = searched.cross(two, one, np.random.default_rng(0))
    assert searched.recipe(searched.decode(other)).hash() != recipe.hash()


def test_children_and_founders_differ_by_what_they_were_drawn_from() -> None:
    def hashes(**settings: object) -> set[str]:
        searched = space(**settings)
        drawn = [x for _, x in searched.founders()]
        rng = np.random.default_rng(0)
        drawn += [searched.cross(drawn[0], drawn[1], rng, split=split) for split in (True, False)]
        return {searched.recipe(searched.decode(x)).hash() for x in drawn}

    ways = [hashes(seed=seed, founders=founders) for seed in range(3) for founders in (2, 5)]
    assert [len(way) for way in ways] == [4, 7] * 3
    assert hashes(seed=1) == hashes(seed=1)
    assert not hashes(seed=1) & hashes(seed=2)
    assert not hashes(seed=1) & hashes(seed=1, std=0.02)


def test_without_mutation_a_child_has_no_noise() -> None:
    searched = space(mutation=0.0)
    (_, one), (_, two) = searched.founders()
    child = searched.cross(one, two, np.random.default_rng(0), split=False)
    recipe = searched.recipe(searched.decode(child))
    assert [stage.method for stage in recipe.stages] == ["split_slerp"]
    assert lineage_of(recipe).cut == 0


def test_spaces_that_m2n2_searches_can_be_crossed() -> None:
    assert isinstance(space(), Crossable)
    assert isinstance(space_of(2)[0], Crossable)


@pytest.mark.parametrize("genome", [{}, {"parents": ["x", "y"]}, {"seed": "one"}])
def test_what_is_no_lineage_is_refused(genome: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="no network's lineage"):
        space().encode(genome)
    with pytest.raises(RecipeError, match="length 7"):
        space().decode(np.zeros(7))
