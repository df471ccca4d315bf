from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from evomerge.errors import ServiceError
from evomerge.runs.reading.results import RunResults
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.parameters import parameters_of
from evomerge.service.reading.workspace import Workspace
from tests.service.reading.conftest import RUN_ID, Place


def parameters(workspace: Workspace, followed: FollowedRun, **wanted: Any) -> dict[str, Any]:
    settings = {"quantile": None, "genes": (), **wanted}
    return parameters_of(followed, workspace.records(RUN_ID), **settings)


def test_slices_are_the_genomes_and_scores_of_the_ledger(
    workspace: Workspace, followed: FollowedRun, finished: Place
) -> None:
    found = parameters(workspace, followed)
    results = RunResults(finished.folder)
    scored = results.state.estimates["search"]
    assert sorted(found["slices"]["candidates"]) == sorted(scored)
    for index, name in enumerate(found["slices"]["candidates"]):
        genome = results.state.candidates[name].genome or {}
        assert {g: v[index] for g, v in found["slices"]["genes"].items()} == genome
        values = {k: v[index] for k, v in found["slices"]["objectives"].items()}
        assert values == results.objectives.values(scored[name])
    results.close()


def test_correlations_are_of_raw_values(workspace: Workspace, followed: FollowedRun) -> None:
    found = parameters(workspace, followed)
    told = found["correlations"]
    assert (len(told["genes"]), told["objectives"]) == (3, ["near", "far"])
    gene, far = found["slices"]["genes"][told["genes"][1]], found["slices"]["objectives"]["far"]
    assert told["value"][1][4] == pytest.approx(spearmanr(gene, far).statistic, abs=1e-3)
    assert np.array(told["n"]).tolist() == [[found["counts"]["scored"]] * 5] * 5


def test_the_best_are_more_than_a_tenth_where_that_would_be_too_few(
    workspace: Workspace, followed: FollowedRun
) -> None:
    found = parameters(workspace, followed)
    n = found["counts"]["used"]
    assert 20 < n < 50
    assert found["quantile"] == pytest.approx(5 / n)
    assert found["importance"]["near"]["reason"] == ""
    assert sum(found["importance"]["near"]["value"]) == pytest.approx(1.0)
    few = parameters(workspace, followed, quantile=0.1)
    assert "takes 41" in few["importance"]["near"]["reason"]
    assert few["slices"]["candidates"]  # the rest is there all the same


def test_genes_to_slice_are_chosen_by_name(workspace: Workspace, followed: FollowedRun) -> None:
    found = parameters(workspace, followed, genes=("stage1.weights.b",))
    assert list(found["slices"]["genes"]) == ["stage1.weights.b"]
    with pytest.raises(ServiceError, match=r"no gene is called 'stage1.weights.z'"):
        parameters(workspace, followed, genes=("stage1.weights.z",))
