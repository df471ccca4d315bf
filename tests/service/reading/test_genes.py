import math
from typing import Any

import numpy as np

from evomerge.service.reading.genes import gene_columns, read_genes
from evomerge.service.reading.workspace import Workspace
from tests.service.reading.conftest import RUN_ID

SWITCHED = {
    "genes": [
        {"name": "method", "kind": "categorical", "choices": ["linear", "ties", None]},
        {
            "name": "density", "kind": "float", "low": 0.1, "high": 1.0, "scale": "log",
            "step": 0.0, "active_if": ["method", ["ties"]], "default": None,
        },
        {
            "name": "rounds", "kind": "int", "low": 1, "high": 9, "scale": "linear", "step": 0,
            "active_if": ["density", [0.5]], "default": None,
        },
    ]
}  # fmt: skip


def test_genes_that_do_not_count_have_no_value() -> None:
    found = gene_columns(
        SWITCHED,
        [
            {"method": "ties", "density": 0.5, "rounds": 3},
            {"method": "linear", "density": 0.5, "rounds": 3},
            {"method": None, "density": 0.5, "rounds": 3},
            {"method": "ties", "density": 0.2, "rounds": 3},
            {},
        ],
    )
    assert [gene.name for gene in found] == ["method", "density", "rounds"]
    method, density, rounds = found
    np.testing.assert_array_equal(method.values, [1, 0, 2, 1, math.nan])
    # What depends on a gene that doesn't count doesn't count either.
    np.testing.assert_array_equal(density.values, [0.5, math.nan, math.nan, 0.2, math.nan])
    np.testing.assert_array_equal(rounds.values, [3, *[math.nan] * 4])
    assert method.choices == ("linear", "ties", "null")
    assert not method.is_ordered
    assert (density.low, density.high, density.log, density.inferred) == (0.1, 1.0, True, False)


def test_genes_of_later_phases_have_the_range_that_was_seen() -> None:
    space = {"phases": [{"genes": [{"name": "a", "kind": "float", "low": 0.0, "high": 2.0}]}]}
    found = gene_columns(
        space,
        [
            {"phase": 0, "a": 0.5},
            {"phase": 1, "hops": 3, "scale": 0.25, "repeat": True, "order": [1, 2]},
            {"phase": 1, "hops": 1, "scale": 0.75, "repeat": False, "order": [2, 1]},
        ],
    )
    by_name = {gene.name: gene for gene in found}
    assert list(by_name) == ["a", "hops", "scale", "repeat"]  # a list is no number
    assert (by_name["hops"].kind, by_name["hops"].low, by_name["hops"].high) == ("int", 1, 3)
    assert (by_name["scale"].kind, by_name["scale"].inferred) == ("float", True)
    assert by_name["repeat"].choices == ("false", "true")
    np.testing.assert_array_equal(by_name["repeat"].values, [math.nan, 1, 0])


def test_texts_that_are_all_different_are_no_choices() -> None:
    genomes = [{"file": f"network-{i}"} for i in range(60)]
    assert gene_columns({"genes": []}, genomes) == ()


def test_segments_show_the_mean_weight_of_each_input() -> None:
    parts = {"attn": 10, "rest": 4}
    space: dict[str, Any] = {
        "genes": [],
        "segments": {"name": "s", "inputs": ["x", "y"], "chromosomes": parts, "block": 1},
    }
    split = [{"until": 4, "weights": [1.0, 0.0]}, {"weights": [0.0, 0.5]}]
    whole = [{"weights": [0.25, 0.75]}]
    found = gene_columns(space, [{"s": {"attn": split, "rest": whole}}, {"s": whole}])
    values = {gene.name: gene.values.tolist() for gene in found}
    assert values == {
        "s.attn.x": [0.4, 0.25],
        "s.attn.y": [0.3, 0.75],
        "s.rest.x": [0.25, 0.25],
        "s.rest.y": [0.75, 0.75],
    }
    space["segments"]["chromosomes"] = {"all": 10}
    one = gene_columns(space, [{"s": split}])
    assert [gene.name for gene in one] == ["s.x", "s.y"]


def test_paths_show_what_there_is_to_count() -> None:
    choices = [["x", 0], ["x", 1], ["y", 0]]
    space = {"phases": [{"genes": []}, {"genes": [], "path": {"choices": choices, "max_steps": 4}}]}
    found = gene_columns(
        space,
        [
            {"phase": 1, "path": [["x", 0, 1.0], ["y", 0, 0.5], ["x", 1, 0.75]]},
            {"phase": 1, "path": [["y", 0, 2.0]]},
            {"phase": 0},
        ],
    )
    values = {gene.name: gene.values.tolist()[:2] for gene in found}
    assert values == {
        "path.steps": [3, 1],
        "path.layers.x": [2, 0],
        "path.layers.y": [1, 1],
        "path.mean_scale": [0.75, 2.0],
    }
    assert all(np.isnan(gene.values[2]) for gene in found)


def test_networks_have_no_genes() -> None:
    genomes = [{"parents": ["a", "b"], "weight": 0.3, "cut": 12, "seed": 5}]
    assert gene_columns({"genes": [], "lineage": {"network": "mlp"}}, genomes) == ()


def test_genes_are_read_as_they_were_stored(workspace: Workspace) -> None:
    records = workspace.records(RUN_ID)
    rows = {row.candidate_id: row for row in records.candidates() if row.genome}
    space: dict[str, Any] = {"genes": []}
    found = read_genes(records, space, [*rows, "ref-a"])
    for gene in found:
        stored = [(row.genome or {})[gene.name] for row in rows.values()]
        np.testing.assert_array_equal(gene.values, [*stored, math.nan])
    assert len(found) == 3
