"""The values that docs/recipes.md shows are ones that a run file may hold."""

import re
from pathlib import Path

import pytest
import yaml

from evomerge.merging.registry import METHODS
from evomerge.recipes.build import RecipeSpec, build_recipe, build_space
from tests.recipes.declared import N_LAYERS, model_tensors, sources

TEXT = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_documented_values_are_taken(example: str) -> None:
    values = yaml.safe_load(example)
    stage = {"method": "ties", "inputs": ["math", "code"], **values}
    spec = RecipeSpec(sources("base", "math", "code"), "base", (stage,))
    if "search" in example:
        space = build_space(spec, METHODS.declarations(), N_LAYERS, model_tensors())
        assert {gene.name.split(".")[1] for gene in space.genes} == set(values)
    else:
        assert set(values) < set(build_recipe(spec, METHODS.declarations()).stages[0].parameters)
