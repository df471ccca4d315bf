"""What a run on fakes is asked, and how its driver knows the recipes of those who answer."""

from typing import Any

from evomerge.recipes.recipe import Recipe
from evomerge.runs.talks import Addressee
from tests.runs.fakes import GENES, SOURCES, FakeSpace

SETTINGS: dict[str, Any] = {
    "by": "ada",
    "prompt": "hello",
    "system": "",
    "follows": None,
    "template": True,
    "max_new_tokens": 8,
    "temperature": 0.0,
    "seed": 0,
}
BASE = Addressee("ref-a", "base")


def reference() -> dict[str, Recipe]:
    return {"ref-a": Recipe(SOURCES, "a", ())}


def read_recipe(plain: Any) -> Recipe:
    weights = plain["parameters"][0]["options"]["weights"]
    return FakeSpace().recipe({g.name: w for g, w in zip(GENES, weights, strict=True)})
