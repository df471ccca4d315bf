"""Reads the ``segments`` of a stage as users write them: fixed, or marked to be searched.

``segments: search`` searches them; ``segments: {search: {block: any, chromosomes: [attn, rest]}}``
says where cuts may lie and which groups of tensors are cut apart from each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import Problem, RecipeError, nearest
from evomerge.models.architecture import ROLES
from evomerge.recipes.recipe import StageInput
from evomerge.recipes.segments import REST, SEGMENTS, n_inputs, parse_segments, uniform

SEARCH_KEYS = ("block", "chromosomes")


@dataclass(frozen=True)
class SegmentSearch:
    """What a user marks to be searched: the segments of one stage.

    Args:
        name: The genome's key, ``STAGE.segments``.
        inputs: Names of the stage's inputs.
        block: ``auto``, ``any``, or the number of elements of which cuts are multiples.
        chromosomes: Groups of roles with segments of their own; empty: one for all.
        key: Where it stands in the user's file.
    """

    name: str
    inputs: tuple[str, ...]
    block: str | int
    chromosomes: tuple[str, ...]
    key: str


def plan_segments(
    raw: Any,
    stage: str,
    inputs: Sequence[StageInput],
    sources: Sequence[str],
    key: str,
    problems: list[Problem],
) -> Any:
    """Return segments in canonical form, or what is searched; None where there is a mistake.

    Args:
        raw: What the user wrote; None: the average.
        stage: The stage's name.
        inputs: Its inputs.
        sources: Names of all sources.
        key: Where ``raw`` stands.
        problems: Mistakes are added here.
    """
    if raw == "search" or (isinstance(raw, Mapping) and "search" in raw):
        return _plan_search(raw, stage, inputs, sources, key, problems)
    try:
        found = uniform(max(len(inputs), 1)) if raw is None else parse_segments(raw, key)
    except RecipeError as error:
        at, _, message = str(error).partition(": ")
        problems.append(Problem(at, message))
        return None
    if inputs and n_inputs(found) != len(inputs):
        message = (
            f"got {n_inputs(found)} weights a segment for {len(inputs)} inputs. Give one an input."
        )
        problems.append(Problem(key, message))
    return found


def _plan_search(
    raw: Any,
    stage: str,
    inputs: Sequence[StageInput],
    sources: Sequence[str],
    key: str,
    problems: list[Problem],
) -> SegmentSearch | None:
    """Read ``search``, or ``{search: {block: …, chromosomes: […]}}``."""
    n_problems = len(problems)
    settings = raw["search"] if isinstance(raw, Mapping) else {}
    alone = not isinstance(raw, Mapping) or set(raw) == {"search"}
    if not alone or not isinstance(settings, Mapping):
        message = f"got {raw!r}, expected search, or {{search: {{block: …, chromosomes: […]}}}}."
        problems.append(Problem(key, message))
        return None
    for name in set(settings) - set(SEARCH_KEYS):
        problems.append(Problem(f"{key}.search.{name}", nearest(str(name), SEARCH_KEYS)))
    block = settings.get("block", "auto")
    if block not in ("auto", "any") and (type(block) is not int or block < 1):
        message = f"got {block!r}, expected auto, any or a number of elements ≥ 1."
        problems.append(Problem(f"{key}.search.block", message))
    groups = settings.get("chromosomes", [])
    known = (*ROLES, REST)
    if not isinstance(groups, (list, tuple)) or any(name not in known for name in groups):
        message = f"got {groups!r}, expected a list of: {', '.join(known)}."
        problems.append(Problem(f"{key}.search.chromosomes", message))
    for item in inputs:
        if item.name not in sources or item.shift:
            message = (
                f"segments are searched between sources as they are, and {item.name!r} is a stage "
                "or shifted. List sources."
            )
            problems.append(Problem(key, message))
    if len(problems) > n_problems:
        return None
    return SegmentSearch(
        f"{stage}.{SEGMENTS}", tuple(item.name for item in inputs), block, tuple(groups), key
    )
