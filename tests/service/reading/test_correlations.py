import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from evomerge.service.reading.correlations import spearman

tables = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).choice(
        [0.0, 1.0, 2.0, 3.0, np.nan], (12, 4), p=[0.25, 0.25, 0.2, 0.2, 0.1]
    )
)


@given(tables)
def test_each_pair_is_as_scipy_has_it_on_the_rows_that_both_have(table: np.ndarray) -> None:
    found = spearman(table)
    for i in range(4):
        for j in range(4):
            a, b = table[:, i], table[:, j]
            rows = ~np.isnan(a) & ~np.isnan(b)
            assert found.n[i, j] == rows.sum()
            if rows.sum() > 1 and np.ptp(a[rows]) > 0 and np.ptp(b[rows]) > 0:
                assert found.value[i, j] == pytest.approx(spearmanr(a[rows], b[rows]).statistic)
            else:
                assert np.isnan(found.value[i, j])


def test_no_rows_give_nothing() -> None:
    found = spearman(np.zeros((0, 2)))
    assert np.isnan(found.value).all()
    assert found.n.tolist() == [[0, 0], [0, 0]]
