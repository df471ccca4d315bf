import math
import re
from dataclasses import replace

import numpy as np
import pytest

from evomerge.service.reading.genes import GeneColumn
from evomerge.service.reading.importance import importances


def gene(name: str, values: np.ndarray, kind: str = "float", **facts: object) -> GeneColumn:
    settings = {
        "low": 0.0, "high": 1.0, "log": False, "choices": (), "inferred": False, **facts
    }  # fmt: skip
    return GeneColumn(name, kind, values=values.astype(float), **settings)  # type: ignore[arg-type]


def drawn(n: int = 400) -> tuple[list[GeneColumn], np.ndarray]:
    """A float, a whole number and a choice that matter, in this order, and two that don't."""
    rng = np.random.default_rng(1)
    weight, rounds, method = rng.random(n), rng.integers(1, 9, n), rng.integers(0, 3, n)
    genes = [
        gene("idle", rng.random(n)),
        gene("method", method, "categorical", high=2.0, choices=("linear", "ties", "slerp")),
        gene("rounds", rounds, "int", low=1.0, high=8.0),
        gene("weight", weight),
        gene("rare", rng.integers(0, 2, n), "categorical", choices=("no", "yes")),
    ]
    scores = -9 * abs(weight - 0.7) + 0.05 * rounds + 0.5 * (method == 1)
    return genes, np.stack([scores, -rounds.astype(float)], axis=1)


def test_what_decides_the_score_comes_first_and_the_rest_is_not_above_chance() -> None:
    genes, utilities = drawn()
    both = importances(genes, utilities, quantile=0.1)
    shares = both[0].shares
    assert next(iter(shares)) == "weight"
    assert shares["weight"] > 3 * both[0].chance
    assert shares["method"] > both[0].chance
    assert max(shares["idle"], shares["rare"]) <= 2 * both[0].chance
    assert sum(shares.values()) == pytest.approx(1.0)
    assert next(iter(both[1].shares)) == "rounds"


def test_equal_candidates_give_equal_figures() -> None:
    genes, utilities = drawn(100)
    assert importances(genes, utilities, quantile=0.1) == importances(
        genes, utilities, quantile=0.1
    )


def test_a_gene_that_counts_at_times_is_judged_where_it_does() -> None:
    rng = np.random.default_rng(2)
    switch, density = rng.integers(0, 2, 400).astype(float), rng.random(400)
    scores = np.where(switch == 1, density, 0.5 * rng.random(400))
    genes = [
        gene("switch", switch, "categorical", choices=("off", "on")),
        gene("density", np.where(switch == 1, density, math.nan)),
        gene("idle", np.where(switch == 1, rng.random(400), math.nan)),
    ]
    (found,) = importances(genes, scores[:, None], quantile=0.1)
    assert next(iter(found.shares)) == "density"
    assert found.shares["density"] > 4 * found.shares["idle"]


@pytest.mark.parametrize(
    ("n", "quantile", "reason"),
    [
        (40, 0.1, "40 candidates have scores; .* best 10% .* takes 41"),
        (0, 0.1, "0 candidates have scores"),
        (20, 0.2, "takes 21"),
    ],
)
def test_too_few_candidates_say_so(n: int, quantile: float, reason: str) -> None:
    genes, utilities = drawn(100)
    few = [replace(item, values=item.values[:n]) for item in genes]
    found = importances(few, utilities[:n], quantile=quantile)
    assert len(found) == 2
    for item in found:
        assert not item.shares
        assert re.search(reason, item.reason)


def test_scores_that_are_mostly_equal_say_so() -> None:
    genes, utilities = drawn(100)
    utilities[:, 0] = 0.0
    flat, good = importances(genes, utilities, quantile=0.1)
    assert "too many have equal values" in flat.reason
    assert good.shares


def test_without_genes_nothing_is_told() -> None:
    (found,) = importances([], np.random.default_rng(0).random((100, 1)), quantile=0.1)
    assert not found.shares
