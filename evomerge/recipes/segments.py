"""Piecewise-constant coefficients over a flattened model: how they are written and read.

A model's floating-point tensors are laid end to end: what stands before the layers, the layers by
number, the final norm, the head; within these by name. A list of segments says for each run of that
vector how much of each input it takes::

    - {until: 1048576, weights: [0.7, 0.3]}    # elements 0 to 1048575
    - {weights: [0.2, 0.8]}                    # all others

A mapping by role gives each group of tensors a list of its own, whose numbers count that group's
elements only (M2N2's chromosomes): ``{attn: [...], mlp: [...], rest: [...]}``. Free of torch.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import RecipeError
from evomerge.models.architecture import ROLES, TensorFacts, natural_order

SEGMENTS = "segments"
"""Name of the parameter."""
REST = "rest"
"""The chromosome of all roles that have none of their own."""

Segment = Mapping[str, Any]
Segments = Sequence[Segment] | Mapping[str, Sequence[Segment]]


def parse_segments(raw: Any, key: str) -> Any:
    """Return segments in canonical form: floats, equal neighbours joined, no needless chromosomes.

    Args:
        raw: What the user wrote or a space decoded.
        key: Where it stands; used in messages.

    Raises:
        RecipeError: It has another form; the message starts with ``key``.
    """
    if isinstance(raw, (list, tuple)):
        return _parse_list(raw, key)
    if not isinstance(raw, Mapping) or not raw:
        raise RecipeError(
            f"{key}: got {raw!r}, expected a list of {{until: INDEX, weights: […]}}, or a mapping "
            "ROLE → such a list."
        )
    if wrong := [name for name in raw if name not in (*ROLES, REST)]:
        raise RecipeError(
            f"{key}.{wrong[0]}: no group of tensors is called so; expected "
            f"{', '.join(ROLES)} or {REST}."
        )
    parts = {
        name: _parse_list(raw[name], f"{key}.{name}") for name in (*ROLES, REST) if name in raw
    }
    lists = list(parts.values())
    if len({len(part[0]["weights"]) for part in lists}) > 1:
        raise RecipeError(f"{key}: the groups have weights for different numbers of inputs.")
    if REST in parts and all(part == lists[0] and len(part) == 1 for part in lists):
        return lists[0]
    return lists[0] if list(parts) == [REST] else parts


def _parse_list(raw: Any, key: str) -> list[dict[str, Any]]:
    if isinstance(raw, (str, Mapping)) or not isinstance(raw, Sequence) or not raw:
        raise RecipeError(f"{key}: got {raw!r}, expected a list of {{until: …, weights: […]}}.")
    found: list[dict[str, Any]] = []
    before = 0
    for index, item in enumerate(raw):
        at = f"{key}[{index}]"
        last = index == len(raw) - 1
        weights = _weights(item, at)
        if len(weights) != len(raw[0]["weights"]):
            raise RecipeError(
                f"{at}.weights: got {len(weights)} weights after {len(raw[0]['weights'])}. Give "
                "one an input in each segment."
            )
        until = item.get("until")
        if last != (until is None):
            message = "the last segment has no 'until'" if last else "missing"
            raise RecipeError(f"{at}.until: {message}. Give it in all segments but the last.")
        if not last and (type(until) is not int or until <= before):
            raise RecipeError(
                f"{at}.until: got {until!r}, expected a whole number above {before}, where this "
                "segment begins."
            )
        before = until
        if found and found[-1]["weights"] == weights:
            found.pop()
        found.append({"weights": weights} if last else {"until": until, "weights": weights})
    return found


def _weights(item: Any, at: str) -> list[float]:
    """The weights of one segment; adding 0.0 turns -0.0 into 0.0, so that equal ones hash alike."""
    if not isinstance(item, Mapping) or "weights" not in item or set(item) - {"until", "weights"}:
        raise RecipeError(f"{at}: got {item!r}, expected {{until: INDEX, weights: […]}}.")
    weights = item["weights"]
    if isinstance(weights, str) or not isinstance(weights, Sequence) or not weights:
        raise RecipeError(f"{at}.weights: got {weights!r}, expected a list of numbers.")
    for weight in weights:
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            raise RecipeError(f"{at}.weights: got {weight!r}, expected a number.")
        if not math.isfinite(weight):
            raise RecipeError(f"{at}.weights: got {weight!r}, expected a finite number.")
    return [float(weight) + 0.0 for weight in weights]


def n_inputs(segments: Segments) -> int:
    """Return how many inputs canonical ``segments`` have weights for."""
    first = next(iter(segments.values())) if isinstance(segments, Mapping) else segments
    return len(first[0]["weights"])


def uniform(n: int) -> list[dict[str, Any]]:
    """Return the segments of the average of ``n`` inputs."""
    return [{"weights": [1.0 / n] * n}]


def flattened(tensors: Iterable[TensorFacts]) -> list[TensorFacts]:
    """Return ``tensors`` in the order of the flattened model, which recipes call ``depth``."""

    def order(facts: TensorFacts) -> tuple[int, int, Any]:
        last = 3 if facts.role == "head" else 2
        part = 1 if facts.layer is not None else 0 if facts.before else last
        return part, facts.layer or 0, natural_order(facts.name)

    return sorted(tensors, key=order)


@dataclass(frozen=True)
class FlatPlace:
    """Where a tensor stands in the flattened model.

    Args:
        role: Its role.
        size: Its elements.
        before: Elements before it, for each of ``ROLES``.
        total: Elements of the model, for each of ``ROLES``.
    """

    role: str
    size: int
    before: tuple[int, ...]
    total: tuple[int, ...]


def flat_places(tensors: Iterable[TensorFacts]) -> dict[str, FlatPlace]:
    """Return tensor name → place; ``tensors`` are all that a model's flattened form consists of."""
    ordered = flattened(tensors)
    counts = [0] * len(ROLES)
    before = []
    for facts in ordered:
        before.append(tuple(counts))
        counts[ROLES.index(facts.role)] += math.prod(facts.shape)
    total = tuple(counts)
    return {
        facts.name: FlatPlace(facts.role, math.prod(facts.shape), at, total)
        for facts, at in zip(ordered, before, strict=True)
    }


def chromosome(names: Iterable[str], role: str) -> str | None:
    """Return which of the chromosomes ``names`` a role belongs to, None where it has none."""
    names = tuple(names)
    return role if role in names else REST if REST in names else None


@dataclass(frozen=True)
class Runs:
    """What the elements of one tensor are made of.

    Args:
        ends: Flat index in the tensor after each run, the last one its size.
        weights: Coefficients of the inputs that have the tensor, for each run.
    """

    ends: tuple[int, ...]
    weights: tuple[tuple[float, ...], ...]


def runs_at(segments: Segments, place: FlatPlace, present: Sequence[int]) -> Runs:
    """Return the runs of one tensor.

    Args:
        segments: In canonical form.
        place: Where the tensor stands.
        present: Which inputs have it.

    Raises:
        RecipeError: The segments end behind the model, or leave the tensor's role out.
    """
    chosen, where = segments, "segments"
    start, total = sum(place.before), sum(place.total)
    if isinstance(segments, Mapping):
        name = chromosome(segments, place.role)
        if name is None:
            raise RecipeError(
                f"segments are given for {', '.join(segments)}, but the model has tensors of the "
                f"role {place.role!r}. Add {place.role}, or {REST} for all others."
            )
        chosen, where = segments[name], f"segments.{name}"
        own = [chromosome(segments, role) == name for role in ROLES]
        start = sum(n for n, mine in zip(place.before, own, strict=True) if mine)
        total = sum(n for n, mine in zip(place.total, own, strict=True) if mine)
    assert isinstance(chosen, Sequence)
    if len(chosen) > 1 and chosen[-2]["until"] >= total:
        raise RecipeError(
            f"{where}: a segment ends at {chosen[-2]['until']}, but there are {total} elements. "
            "Was the recipe made for another model? Give smaller numbers."
        )
    ends: list[int] = []
    weights: list[tuple[float, ...]] = []
    stop = start + place.size
    first = bisect_right(chosen, start, hi=len(chosen) - 1, key=lambda segment: segment["until"])
    for segment in chosen[first:]:
        own_weights = tuple([segment["weights"][i] for i in present])
        if weights and weights[-1] == own_weights:  # inputs that differ lack the tensor
            ends.pop()
            weights.pop()
        weights.append(own_weights)
        until = segment.get("until", stop)
        ends.append(min(until, stop) - start)
        if until >= stop:
            break
    return Runs(tuple(ends), tuple(weights))
