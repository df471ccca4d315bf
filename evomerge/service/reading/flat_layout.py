"""Where the layers begin in a flattened model, so that segments can be drawn over them."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from evomerge.errors import ModelError
from evomerge.models.architecture import ROLES, TensorFacts
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.hub import locate
from evomerge.recipes.segments import chromosome, flat_places

ALL = "all"


def base_tensors(recipe: Mapping[str, Any]) -> tuple[TensorFacts, ...]:
    """Return the tensors of a recipe's base that are merged; none where it isn't here."""
    source = recipe.get("sources", {}).get(recipe.get("base"))
    return () if source is None else _tensors(source["path"], source.get("revision"))


@functools.lru_cache(maxsize=16)
def _tensors(path: str, revision: str | None) -> tuple[TensorFacts, ...]:
    try:
        found = Checkpoint.open(locate(path, revision, offline=True).folder).tensors
    except ModelError:
        return ()
    return tuple(facts for facts in found.values() if facts.is_merged)


def flat_layout(tensors: Iterable[TensorFacts], groups: Iterable[str]) -> dict[str, Any] | None:
    """Return group → its elements and where each layer begins among them.

    Args:
        tensors: What the model consists of.
        groups: Chromosomes, or ``all`` for the whole model.
    """
    facts = list(tensors)
    names = list(groups)
    if not facts:
        return None
    places = flat_places(facts)
    found: dict[str, Any] = {}
    for group in names:
        own = [r for r in ROLES if group == ALL or chromosome(names, r) == group]
        chosen = [ROLES.index(role) for role in own]
        starts: dict[int, int] = {}
        end = size = 0
        for item in facts:
            place = places[item.name]
            size = sum(place.total[i] for i in chosen)
            start = sum(place.before[i] for i in chosen)
            if item.layer is not None:
                starts[item.layer] = min(start, starts.get(item.layer, size))
                end = max(end, start + (place.size if place.role in own else 0))
        layers = [starts[layer] for layer in sorted(starts)]
        found[group] = {"size": size, "layers": layers, "end": end}
    return found
