"""Spaces and mergekit files with the methods that are registered, not hand-made ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from evomerge.merging.registry import METHODS
from evomerge.recipes.build import RecipeSpec, build_space
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.mergekit import import_mergekit
from evomerge.recipes.space import SearchSpace
from tests.recipes.declared import N_LAYERS, model_tensors, sources
from tests.recipes.test_mergekit import check_same, locate

DECLARATIONS = METHODS.declarations()
FILES = sorted((Path(__file__).parent / "mergekit").glob("*.yml"))
INPUTS = ["math", "code", "chat"]


def searched(parameter: Parameter) -> dict[str, Any]:
    high = {"high": 3} if parameter.kind == "int" and parameter.high is None else {}
    grouped = {} if parameter.whole_model else {"granularity": "block:2"}
    return {"search": high, **grouped}


def space_of(name: str) -> SearchSpace:
    declaration = DECLARATIONS[name]
    stage: dict[str, Any] = {
        "method": name,
        "inputs": INPUTS[: declaration.max_inputs or len(INPUTS)],
    }
    stage |= {p.name: searched(p) for p in declaration.parameters if p.searchable}
    spec = RecipeSpec(sources("base", *INPUTS), "base", (stage,))
    return build_space(spec, DECLARATIONS, N_LAYERS, model_tensors())


CUBES = sorted(set(DECLARATIONS) - {"segments"})
"""Methods whose genes are points of a cube; for the others see test_segment_space.py."""


@pytest.mark.parametrize("name", CUBES)
def test_all_that_is_searchable_can_be_searched(name: str) -> None:
    space = space_of(name)
    rng = np.random.default_rng(0)
    for x in [*rng.random((20, space.n_dims)), np.zeros(space.n_dims), np.ones(space.n_dims)]:
        genome = space.decode(x)
        recipe = space.recipe(genome)
        assert space.decode(space.encode(genome)) == genome
        assert space.recipe(space.genome_of(recipe)).hash() == recipe.hash()


@pytest.mark.parametrize("name", CUBES)
def test_warm_starts_are_recipes_of_the_space(name: str) -> None:
    space = space_of(name)
    starts = space.warm_starts()
    assert starts
    recipes = [space.recipe(genome).hash() for _, genome in starts]
    assert len(set(recipes)) == len(recipes)
    if DECLARATIONS[name].needs_base:
        assert starts[0][0] == "base"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_mergekit_files_fit_the_registered_methods(path: Path) -> None:
    raw = yaml.safe_load(path.read_text())
    imported = import_mergekit(
        raw,
        DECLARATIONS,
        locate_source=locate,
        count_layers=lambda path, revision: N_LAYERS,
    )
    check_same(raw, imported.recipe)
