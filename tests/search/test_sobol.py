"""Sobol: evenly spread, one sequence over all asks."""

import numpy as np
import pytest

from evomerge.errors import SearchError
from evomerge.search.sobol import SobolSearcher
from tests.search.functions import box


def test_every_interval_of_a_power_of_two_gets_one_point() -> None:
    searcher = SobolSearcher(box(3), seed=5)
    points = np.array([p.genome for _ in range(4) for p in searcher.ask(8)])
    for column in points.T:
        assert sorted((column * 32).astype(int)) == list(range(32))


def test_other_seeds_scramble_otherwise() -> None:
    first, second = (SobolSearcher(box(2), seed=s).ask()[0].genome for s in (1, 2))
    assert (first != second).any()


def test_too_many_genes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evomerge.search.sobol.MAX_DIMS", 3)
    SobolSearcher(box(3), seed=0)
    with pytest.raises(SearchError, match="sobol takes at most 3 genes, this space has 4"):
        SobolSearcher(box(4), seed=0)
