"""Which genes and objectives rise together: Spearman's rank correlation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.service.reading.columns import Array


@dataclass(frozen=True)
class Correlations:
    """Correlations of columns.

    Args:
        value: Shape ``(d, d)``, in [-1, 1]; NaN where a column doesn't vary.
        n: Rows that each rests on, same shape.
    """

    value: Array
    n: NDArray[np.int64]


def spearman(table: Array) -> Correlations:
    """Return how the columns of ``table``, shape ``(n, d)``, correlate.

    Each pair is compared on the rows in which neither is NaN.
    """
    known = ~np.isnan(table)
    d = table.shape[1]
    counts = known.astype(np.int64).T @ known.astype(np.int64)
    value = np.full((d, d), np.nan)
    # Columns that are known in the same rows are ranked once for all of them.
    kinds, group = np.unique(known, axis=1, return_inverse=True)
    alike = [np.flatnonzero(group.reshape(-1) == kind) for kind in range(kinds.shape[1])]
    for first, a in enumerate(alike):
        for second, b in enumerate(alike[first:], first):
            rows = kinds[:, first] & kinds[:, second]
            if rows.sum() > 1:
                found = _standard(table[np.ix_(rows, a)]).T @ _standard(table[np.ix_(rows, b)])
                value[np.ix_(a, b)], value[np.ix_(b, a)] = found, found.T
    return Correlations(np.clip(value, -1.0, 1.0), counts)


def _standard(columns: Array) -> Array:
    """Return the ranks of columns with mean 0 and length 1; NaN where all are equal."""
    from scipy.stats import rankdata

    ranks = rankdata(columns, axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.linalg.norm(ranks, axis=0)
    standard: Array = ranks / np.where(length > 0, length, np.nan)
    return standard
