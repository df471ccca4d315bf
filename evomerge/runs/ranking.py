"""Which candidates are best: Pareto ranks, the finalists to re-score, the final order.

Utilities here are larger-is-better tuples of ``k`` numbers. Ties go to the candidate asked for
first, so that every ranking repeats.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from evomerge.search.fronts import knee, non_dominated

Utilities = Mapping[str, tuple[float, ...]]
"""Candidate id → one utility an objective; iteration order is the order of asking."""


def pareto_front(utilities: Utilities) -> list[str]:
    """Return the candidates that no other dominates, best first objective first."""
    if not utilities:
        return []
    names = list(utilities)
    kept = non_dominated([utilities[name] for name in names])
    front = [name for name, on_front in zip(names, kept, strict=True) if on_front]
    return sorted(front, key=lambda name: utilities[name], reverse=True)


def choose_finalists(utilities: Utilities, recipes: Mapping[str, str], n: int) -> list[str]:
    """Return the candidates to re-score: the whole Pareto front, then further ranks up to ``n``.

    Args:
        utilities: Search scores of all candidates that have some.
        recipes: Candidate id → recipe hash; of equal recipes only the first candidate counts.
        n: How many; the first front may be larger where there are several objectives.
    """
    left = dict(_first_of_each(utilities, recipes))
    chosen: list[str] = []
    while left and len(chosen) < n:
        rank = pareto_front(left)
        single = len(next(iter(left.values()))) == 1
        room = n - len(chosen)
        chosen += rank if not chosen and not single else rank[:room]
        left = {name: value for name, value in left.items() if name not in set(rank)}
    return chosen


@dataclass(frozen=True)
class FinalOrder:
    """The result of a search: the best candidate, and the front (the best alone if k = 1)."""

    best: str
    front: tuple[str, ...]


def final_order(validation: Utilities, search: Utilities) -> FinalOrder:
    """Rank finalists by validation score; equal ones by search score, then by order of asking.

    With several objectives the best is the front's knee; the front is in the order of the first.
    """
    names = list(validation)
    ranked = sorted(names, key=lambda name: (validation[name], search[name]), reverse=True)
    if len(next(iter(validation.values()))) == 1:
        return FinalOrder(best=ranked[0], front=(ranked[0],))
    front = pareto_front({name: validation[name] for name in ranked})
    bend = knee([validation[name] for name in front])
    return FinalOrder(best=front[bend.index], front=tuple(front))


def _first_of_each(
    utilities: Utilities, recipes: Mapping[str, str]
) -> dict[str, tuple[float, ...]]:
    seen: set[str] = set()
    kept = {}
    for name, value in utilities.items():
        if recipes[name] not in seen:
            seen.add(recipes[name])
            kept[name] = value
    return kept
