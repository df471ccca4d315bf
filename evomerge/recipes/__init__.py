"""Recipes: complete instructions for one merged model, and the spaces that a search draws from."""

from evomerge.recipes.build import RecipeSpec, build_recipe, build_space
from evomerge.recipes.declarations import Declaration, Parameter, WarmStart, load_plugin_file
from evomerge.recipes.recipe import Dataflow, Recipe, Source, Stage, StageInput, Step
from evomerge.recipes.space import Gene, Genome, SearchSpace

__all__ = [
    "Dataflow",
    "Declaration",
    "Gene",
    "Genome",
    "Parameter",
    "Recipe",
    "RecipeSpec",
    "SearchSpace",
    "Source",
    "Stage",
    "StageInput",
    "Step",
    "WarmStart",
    "build_recipe",
    "build_space",
    "load_plugin_file",
]
