"""Recipes from outside a run: those of files, and those that other runs have found."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evomerge.config.run import SourceConfig
from evomerge.errors import LedgerError
from evomerge.merging.registry import METHODS
from evomerge.recipes.files import load_recipe
from evomerge.recipes.recipe import Recipe, Source
from evomerge.runs.reading.results import RunResults
from evomerge.runs.recipes import stored_recipe
from evomerge.runs.setup.sources import OpenedSource, open_source


@dataclass(frozen=True)
class Found:
    """A recipe, and what to call it."""

    label: str
    recipe: Recipe


def read_found(given: str, sources: Mapping[str, OpenedSource]) -> Found:
    """Return the recipe that a user names.

    Args:
        given: A recipe file, or ``RUN:CANDIDATE`` with another run's folder.
        sources: Name → source of this run; others are opened where the file says.

    Raises:
        LedgerError: There is neither such a file nor such a candidate.
        ProblemsError: The file is no recipe.
    """
    file = Path(given)
    if file.is_file():
        locate = locator(sources)
        recipe = load_recipe(file, METHODS.declarations(), locate_source=locate)
        return Found(file.stem, recipe)
    run, _, candidate = given.rpartition(":")
    if not run or not (Path(run) / "run.json").is_file():
        raise LedgerError(
            f"{given!r} is neither a recipe file nor a run's folder with a candidate. Give a file "
            "such as recipe.yaml, or RUN:CANDIDATE such as runs/other:best."
        )
    with contextlib.closing(RunResults.open(Path(run))) as results:
        row = results.find(candidate)
        recipe = stored_recipe(results.records.recipe(row.recipe_hash))
        return Found(f"{results.row.name}/{row.candidate_id}", recipe)


def locator(
    sources: Mapping[str, OpenedSource],
) -> Callable[[str, str, str | None], Source]:
    """Return what finds the sources of recipe files: those of the run, and others by their path."""
    by_path = {item.source.path: item.source for item in sources.values()}

    def locate(name: str, path: str, revision: str | None) -> Source:
        if path not in by_path:
            by_path[path] = open_source(name, SourceConfig(path=path, revision=revision)).source
        return replace(by_path[path], name=name)

    return locate
