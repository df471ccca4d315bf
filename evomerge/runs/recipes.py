"""Recipes as a ledger holds them."""

from collections.abc import Mapping
from typing import Any

from evomerge.merging.registry import METHODS
from evomerge.recipes.files import load_recipe
from evomerge.recipes.lineage import is_lineage, parse_lineage
from evomerge.recipes.recipe import Recipe


def stored_recipe(plain: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a merged model or of an evolved network from its plain form."""
    return parse_lineage(plain) if is_lineage(plain) else load_recipe(plain, METHODS.declarations())
