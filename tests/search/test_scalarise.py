"""Several objectives as one number: what each kind prefers, and what the searcher hears."""

import json

import numpy as np
import pytest

from evomerge.errors import SearchError
from evomerge.search.cma_es import CmaEsSearcher
from evomerge.search.protocol import Evaluation, Proposal, Start
from evomerge.search.scalarise import AUGMENT, KINDS, Kind, ScalarisedSearcher, scalarise
from evomerge.search.snapshots import Snapshot
from tests.search.functions import box

HOLLOW = np.array([(1.0, 0.0), (0.4, 0.4), (0.0, 1.0)])


def test_weights_add_up_and_the_others_take_the_worst() -> None:
    found = scalarise([(0.5, 20.0)], "weighted", (3, 1), (0.0, 0.0), (1.0, 100.0))
    assert found == pytest.approx([0.75 * 0.5 + 0.25 * 0.2])
    found = scalarise([(0.5, 20.0)], "chebyshev", (3, 1), (1.0, 100.0), (1.0, 100.0))
    assert found == pytest.approx([-0.375 + AUGMENT * (-0.375 - 0.2)])


def test_only_the_worst_of_them_finds_the_middle_of_a_hollow_front() -> None:
    one = np.ones(2)
    assert scalarise(HOLLOW, "weighted", one, one, one).argmax() != 1
    assert scalarise(HOLLOW, "chebyshev", one, one, one).argmax() == 1
    near_the_end = scalarise(HOLLOW, "achievement", one, (0.9, 0.0), one)
    assert near_the_end.argmax() == 0


def test_an_objective_of_weight_0_doesnt_count() -> None:
    found = scalarise([(0.5, 9.0), (0.5, -9.0)], "chebyshev", (1, 0), (1, 1), (1, 1))
    assert found[0] == found[1]


def values(x: np.ndarray) -> tuple[float, float]:
    """Return utilities of very different sizes; the best are at 0.2 and 0.8 of each gene."""
    return -float(((x - 0.2) ** 2).sum()), -1e6 * float(((x - 0.8) ** 2).sum())


def build(kind: Kind, weights: tuple[float, float] = (1.0, 1.0)) -> ScalarisedSearcher:
    aspiration = values(np.full(2, 0.5)) if kind == "achievement" else None
    starts = [Start("a", np.full(2, 0.2)), Start("b", np.full(2, 0.8))]
    inner = CmaEsSearcher(box(2), seed=0, starts=starts, population=8)
    return ScalarisedSearcher(inner, kind=kind, weights=weights, aspiration=aspiration)


def generation(searcher: ScalarisedSearcher) -> list[Proposal]:
    proposals = searcher.ask()
    results = [Evaluation(p.id, values(p.genome)) for p in proposals[1:]]
    searcher.tell([*results, Evaluation(proposals[0].id, None, "died")])
    return proposals


@pytest.mark.parametrize("kind", KINDS)
def test_cma_es_finds_the_compromise_of_the_weights(kind: Kind) -> None:
    searcher = build(kind)
    for _ in range(15):
        proposals = generation(searcher)
    middle = np.mean([p.genome for p in proposals], axis=0)
    assert middle == pytest.approx([0.5, 0.5], abs=0.12)


def test_a_larger_weight_pulls_the_compromise() -> None:
    means = []
    for weights in ((9.0, 1.0), (1.0, 9.0)):
        searcher = build("weighted", weights)
        for _ in range(15):
            proposals = generation(searcher)
        means.append(np.mean([p.genome for p in proposals]))
    assert means[0] < 0.4
    assert means[1] > 0.6


@pytest.mark.parametrize("stop", [0, 1, 4])
def test_a_restored_searcher_goes_on_alike(stop: int) -> None:
    whole, other = build("chebyshev"), build("chebyshev")
    for _ in range(stop):
        generation(whole)
    early = whole.ask() if stop == 0 else []
    whole.tell([Evaluation(p.id, values(p.genome)) for p in early[:3]])
    stored = whole.snapshot()
    other.restore(Snapshot(json.loads(json.dumps(stored.plain)), stored.arrays))
    for searcher in (whole, other):
        searcher.tell([Evaluation(p.id, values(p.genome)) for p in early[3:]])
    for _ in range(3):
        first, second = generation(whole), generation(other)
        assert [p.genome.tolist() for p in first] == [p.genome.tolist() for p in second]


def test_results_told_one_by_one_lead_to_the_same_generations() -> None:
    whole, single = build("chebyshev"), build("chebyshev")
    for _ in range(4):
        first, second = whole.ask(), single.ask()
        assert [p.genome.tolist() for p in first] == [p.genome.tolist() for p in second]
        whole.tell([Evaluation(p.id, values(p.genome)) for p in first])
        for p in reversed(second):
            single.tell([Evaluation(p.id, values(p.genome))])


def test_unknown_and_double_results_are_refused_and_change_nothing() -> None:
    searcher, other = build("chebyshev"), build("chebyshev")
    for _ in range(2):
        proposals = searcher.ask()
        results = [Evaluation(p.id, values(p.genome)) for p in proposals]
        for wrong in (Evaluation("9-9", (1.0, 1.0)), results[0]):
            with pytest.raises(SearchError, match="not waiting"):
                searcher.tell([*results, wrong])
        searcher.tell(results)
        other.tell([Evaluation(p.id, values(p.genome)) for p in other.ask()])
    first, second = searcher.ask(), other.ask()
    assert [p.genome.tolist() for p in first] == [p.genome.tolist() for p in second]
