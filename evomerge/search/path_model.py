"""What paths that weren't scored yet may be worth: a Gaussian process on the order of their steps.

Two paths are alike if they take the same layers, one behind the other or at least in the same
order, with the same scales. That tells good orders from few scores, since most of what a path is
worth lies in which layer comes before which.
"""

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.paths import END
from evomerge.search.path_moves import Layout

NOISE = 0.02
"""Variance of the scores' noise, where their own variance is 1."""
NUMBER_WEIGHT = 4.0
"""Weight of a number, which runs from 0 to 1, where a layer taken or not has 1."""
LEAST_LENGTH = 4.0
"""Least squared distance at which likeness falls to 1/e: a step more or less is about as far."""

Array = NDArray[np.float64]


class PathModel:
    """Predicts utilities of the encodings of paths.

    Args:
        layout: Of the encodings.
        genomes: Encodings with known utilities, shape ``(m, d)``.
        utilities: Shape ``(m,)``.
        scales: Compare scales too; else paths that differ in nothing else are the same.
    """

    def __init__(
        self, layout: Layout, genomes: Array, utilities: Array, *, scales: bool = True
    ) -> None:
        from scipy.linalg import cho_factor, cho_solve  # late: the registry loads this module

        self._layout = layout
        self._scales = scales
        self._known = features(layout, genomes, scales=scales)
        # How bad a bad path is tells little about good ones, but would set the scale.
        clipped = np.maximum(utilities, np.median(utilities))
        scores = (clipped - clipped.mean()) / max(float(clipped.std()), 1e-12)
        squares = _squares(self._known, self._known)
        best = np.argsort(-clipped, kind="stable")[: max(10, len(scores) // 4)]
        among = squares[np.ix_(best, best)][np.triu_indices(len(best), 1)]
        self._length = max(float(np.median(among)), LEAST_LENGTH)
        kernel = np.exp(-squares / self._length) + NOISE * np.eye(len(scores))
        self._factor = cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False)
        self._weights = cho_solve(self._factor, scores, check_finite=False)

    def promise(self, genomes: Array) -> Array:
        """Return the expected utility plus one standard deviation, in no unit, shape ``(p,)``.

        Args:
            genomes: Encodings, shape ``(p, d)``.
        """
        from scipy.linalg import cho_solve

        rows = features(self._layout, genomes, scales=self._scales)
        near = np.exp(-_squares(rows, self._known) / self._length)
        solved = cho_solve(self._factor, near.T, check_finite=False)
        variance = 1 - (near * solved.T).sum(axis=1)
        promise: Array = near @ self._weights + np.sqrt(np.maximum(variance, 0.0))
        return promise


def features(layout: Layout, genomes: Array, *, scales: bool = True) -> Array:
    """Return what paths are compared by, one row for each of ``genomes``, shape ``(m, d)``.

    These are: how often each layer comes, which layer comes first, which is right behind which,
    which comes anywhere before which, by what the hidden state is scaled where each layer reads it
    (if ``scales``), and the numbers beside the path.
    """
    space = layout.paths
    assert space is not None
    n, most = layout.n_choices, space.max_steps
    stop = layout.n_genes + most
    steps = genomes[:, layout.n_genes : stop].astype(np.intp)
    taken = np.eye(n + 1)[np.where(steps == END, n, steps)]
    layers = taken[:, :, :n]
    end = np.broadcast_to(np.eye(n + 1)[n], (len(genomes), 1, n + 1))
    following = np.concatenate([taken[:, 1:], end], axis=1)
    later = np.cumsum(layers[:, ::-1], axis=1)[:, ::-1] - layers
    behind = np.einsum("mli,mlj->mij", layers, following)
    before = np.minimum(np.einsum("mli,mlj->mij", layers, np.minimum(later, 1)), 1)
    parts = [layers.sum(axis=1), layers[:, 0], behind, before]
    if space.scale is not None and scales:
        # A layer adds to a hidden state that all scales up to it have multiplied, so what counts is
        # their product, which is the sum of their places: they run with the logarithm.
        so_far = np.cumsum(genomes[:, stop:] - layout.one, axis=1)
        parts.append(NUMBER_WEIGHT * np.einsum("mli,ml->mi", layers, so_far))
    parts.append(NUMBER_WEIGHT * genomes[:, : layout.n_genes])
    return np.concatenate([part.reshape(len(genomes), -1) for part in parts], axis=1)


def _squares(one: Array, two: Array) -> Array:
    """Return squared distances of rows, shape ``(len(one), len(two))``."""
    lengths = (one**2).sum(axis=1)[:, None] + (two**2).sum(axis=1)
    squares: Array = np.maximum(lengths - 2 * one @ two.T, 0.0)
    return squares
