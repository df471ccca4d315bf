"""Two candidates side by side: their genes, the same examples, wins and losses."""

from pathlib import Path

import numpy as np
import pytest

from evomerge.errors import LedgerError
from evomerge.runs.folder import RunFolder
from evomerge.runs.reading.diff import diff_candidates
from evomerge.runs.reading.results import RunResults
from tests.cli.conftest import make_run_folder
from tests.runs.fakes import TWO, FakeRun


@pytest.fixture
def results(tmp_path: Path) -> RunResults:
    fake = FakeRun(tmp_path, objectives=TWO, budget=18, finalists=3)
    list(fake.start().drive())
    folder = make_run_folder(fake, tmp_path / "runs" / "toy")
    return RunResults(RunFolder.open(folder))


def test_wins_and_losses_are_those_of_the_stored_examples(results: RunResults) -> None:
    # Neither was re-scored, so both have the search split only.
    rest = [n for n in results.state.candidates if n not in results.state.estimates["validation"]]
    found = diff_candidates(results, rest[0], rest[1])
    assert found.split == "search"
    for item in found.tasks:
        a, b = (results.records.scores(n, "search", item.task, "hit")[:, 0] for n in rest[:2])
        assert item.metric == "hit"
        assert set(item.won) == set(np.flatnonzero(a > b).tolist())
        assert set(item.lost) == set(np.flatnonzero(a < b).tolist())
        assert item.difference.value == pytest.approx((a - b).mean())
        assert item.difference.low <= item.difference.value <= item.difference.high
        assert len(item.won) - len(item.lost) == pytest.approx(item.difference.value * len(a))


def test_the_other_way_round_wins_are_losses(results: RunResults) -> None:
    names = list(results.state.candidates)[:2]
    one, other = (diff_candidates(results, *pair) for pair in (names, names[::-1]))
    for mine, theirs in zip(one.tasks, other.tasks, strict=True):
        assert mine.won == theirs.lost
        assert mine.difference.value == -theirs.difference.value
    assert one.genes == {gene: pair[::-1] for gene, pair in other.genes.items()}
    assert list(one.objectives) == list(TWO)


def test_genes_and_recipe_tell_what_differs(results: RunResults) -> None:
    names = list(results.state.candidates)[:2]
    found = diff_candidates(results, *names)
    genomes = [results.show(name).genome or {} for name in names]
    assert found.genes == {
        gene: (genomes[0][gene], genomes[1][gene])
        for gene in genomes[0]
        if genomes[0][gene] != genomes[1][gene]
    }
    assert found.recipe
    same = diff_candidates(results, names[0], names[0])
    assert not same.genes
    assert not same.recipe
    assert all(item.won == item.lost == () for item in same.tasks)


def test_finalists_are_compared_on_the_validation_split(results: RunResults) -> None:
    names = list(results.state.estimates["validation"])[:2]
    assert diff_candidates(results, *names).split == "validation"


def test_an_unknown_candidate_is_named(results: RunResults) -> None:
    with pytest.raises(LedgerError, match="has no candidate 'x-1'"):
        diff_candidates(results, next(iter(results.state.candidates)), "x-1")
