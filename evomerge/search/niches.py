"""Competition for examples: who feeds on which, how well, and who would complement whom.

Each example is a resource that the members of a population share in proportion to their scores on
it. Pure functions of a score matrix, for the searcher and for readers of a run alike.

Source: Abrantes et al. 2025, arXiv:2508.16204, and its code (SakanaAI/natural_niches).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def known(scores: Array) -> Array:
    """Return ``scores`` with 0 where an example has none (NaN): who wasn't scored wins nothing."""
    missing = np.isnan(scores)
    return np.where(missing, 0.0, scores) if missing.any() else scores


def fitness(scores: Array, *, alpha: float = 1.0) -> Array:
    """Return what each member gets of all examples.

    Of example j, which has the capacity c = maxᵢ sᵢⱼ (1 where scores are 0 and 1 and anyone
    solves it), member i gets c · sᵢⱼ / (Σₖ sₖⱼ)^α. Examples that nobody solves feed nobody. The
    figure means something only beside those of the same population.

    Args:
        scores: Utilities in [0, 1], shape ``(m, n)``: members by examples; NaN counts as 0.
        alpha: How much members share: 1 all, 0 nothing (plain sums of scores, weighted by c).

    Returns:
        Shape ``(m,)``.
    """
    s = known(scores)
    # Not a matrix product, in which equal rows may end in other last bits.
    total: Array = np.einsum("ij,j->i", s, _price(s, alpha))
    return total


def attraction(scores: Array, first: int) -> Array:
    """Return how much better than member ``first`` each member is where that is worth something.

    Member b gets Σⱼ c / (Σₖ sₖⱼ) · max(0, s_b,ⱼ − s_first,ⱼ); ``first`` itself gets 0.

    Args:
        scores: Utilities in [0, 1], shape ``(m, n)``; NaN counts as 0.
        first: The first parent.

    Returns:
        Shape ``(m,)``.
    """
    s = known(scores)
    better = np.flatnonzero(s.max(axis=0, initial=0.0) > s[first])
    gain = s[:, better] - s[first, better]
    np.maximum(gain, 0.0, out=gain)
    total: Array = gain @ _price(s, 1.0)[better]
    return total


def coverage(scores: Array) -> float:
    """Return the mean over examples of the best member's score; 0 for no members or examples."""
    return float(known(scores).max(axis=0).mean()) if np.size(scores) else 0.0


def wins(scores: Array) -> NDArray[np.bool_]:
    """Return which members have the best score on each example, and more than 0; ``(m, n)``."""
    s = known(scores)
    best = s.max(axis=0, initial=0.0)
    return np.asarray((s == best) & (best > 0))


def sole_wins(scores: Array) -> NDArray[np.bool_]:
    """Return which examples each member alone is best on, shape ``(m, n)``: its niche.

    An example that nobody else is as good on falls back when its member leaves.
    """
    won = wins(scores)
    return np.asarray(won & (won.sum(axis=0) == 1))


def leaver(scores: Array, violations: Array, *, alpha: float = 1.0) -> int:
    """Return which member leaves an archive that is too full.

    That is the one that misses the run's constraints most; if all keep them the least fit; of equal
    ones the first, which joined first. Who misses constraints takes no examples from who doesn't.

    Args:
        scores: Utilities in [0, 1], shape ``(m, n)``, in the order of joining.
        violations: By how much each member misses the constraints, shape ``(m,)``, 0: not at all.
        alpha: How much members share.
    """
    feasible = np.flatnonzero(violations == 0)
    competing = feasible if len(feasible) else np.arange(len(scores))
    fit = np.zeros(len(scores))
    # Rounded, so that shares of equal worth are equal however they were added up.
    fit[competing] = np.round(fitness(scores[competing], alpha=alpha), 9)
    return int(np.lexsort((fit, -violations))[0])  # stable


def _price(s: Array, alpha: float) -> Array:
    """What a full score on each example is worth, shape ``(n,)``."""
    total = s.sum(axis=0)
    capacity = s.max(axis=0, initial=0.0)
    return np.where(total > 0, capacity / np.where(total > 0, total, 1.0) ** alpha, 0.0)
