"""Where a run begins: known-good recipes, those of files, and those that other runs have found."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evomerge.config.run import RunConfig, SourceConfig
from evomerge.errors import EvomergeError, LedgerError, Problem, RecipeError
from evomerge.merging.registry import METHODS
from evomerge.recipes.files import load_recipe
from evomerge.recipes.lineage import LineageSpace
from evomerge.recipes.recipe import Recipe, Source
from evomerge.recipes.space import Genome, SearchSpace
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


def collect_starts(
    config: RunConfig,
    sources: Mapping[str, OpenedSource],
    space: SearchSpace,
    problems: list[Problem],
    warnings: list[str],
) -> tuple[tuple[str, Genome], ...]:
    """Return (label, genome) of generation 0, equal ones once.

    Known-good recipes come first, then those of the user's files, then the fronts of other runs, of
    which those that the space doesn't have are left out with a warning.
    """
    known = list(space.warm_starts()) if config.search.warm_starts else []
    named = _of_files(config, sources, space, problems)
    fronts = _of_runs(config, space, problems, warnings)
    found: list[tuple[str, Genome]] = []
    for label, genome in [*known, *named, *fronts]:
        if all(genome != other for _, other in found):
            found.append((label, genome))
    return tuple(found)


def genome_in(space: SearchSpace, recipe: Recipe) -> Genome:
    """Return the genome of a recipe from outside.

    Raises:
        RecipeError: The space can't represent it; the message names the parameter.
    """
    if isinstance(space, LineageSpace):
        raise RecipeError(
            "a network that evolves from scratch is made of others of its own run, so that this "
            "run takes none from outside."
        )
    return space.genome_of(recipe)


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


def _of_files(
    config: RunConfig,
    sources: Mapping[str, OpenedSource],
    space: SearchSpace,
    problems: list[Problem],
) -> Iterator[tuple[str, Genome]]:
    """Yield the recipes of the user's files."""
    locate = locator(sources)
    for index, path in enumerate(config.search.recipes):
        try:
            recipe = load_recipe(Path(path), METHODS.declarations(), locate_source=locate)
            yield f"recipe:{Path(path).stem}", genome_in(space, recipe)
        except EvomergeError as error:
            lines = [line.removeprefix(f"{path}: ") for line in str(error).splitlines() if line]
            problems += [Problem(f"search.recipes[{index}]", f"{path}: {line}") for line in lines]


def _of_runs(
    config: RunConfig, space: SearchSpace, problems: list[Problem], warnings: list[str]
) -> Iterator[tuple[str, Genome]]:
    """Yield the fronts of other runs, as far as the space has them."""
    for index, path in enumerate(config.search.from_runs):
        key = f"search.from_runs[{index}]"
        try:
            front = _front(Path(path))
        except EvomergeError as error:
            problems.append(Problem(key, str(error)))
            continue
        if not front:
            warnings.append(f"{key}: {path} has no scored candidate yet, so nothing starts there.")
        for item in front:
            try:
                yield f"run:{item.label}", genome_in(space, item.recipe)
            except EvomergeError as error:
                warnings.append(f"{key}: {item.label} can't be a start: {error}")


def _front(path: Path) -> list[Found]:
    """Return the recipes of a run's front, its best alone where it has one objective."""
    with contextlib.closing(RunResults.open(path)) as results:
        return [
            Found(
                f"{results.row.name}/{entry.candidate}",
                stored_recipe(results.records.recipe(entry.recipe_hash)),
            )
            for entry in results.front().entries
        ]
