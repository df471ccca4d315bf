"""CMA-ME and CMA-MAE: pyribs' own course, whole batches, and what happens when nothing works."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evomerge.errors import MissingExtraError, SearchError
from evomerge.recipes.paths import PathSpace
from evomerge.search.cma_me import _EmitterSearcher
from evomerge.search.grid_archive import Axis, Elite, GridArchive
from evomerge.search.protocol import Evaluation, Proposal, Start, build_searcher
from evomerge.search.pyribs import load_pyribs
from tests.search.functions import box, sphere

BOTH = pytest.mark.parametrize("name", ["cma_me", "cma_mae"])
AXES = (Axis("one", 0.0, 1.0, 20), Axis("two", 0.0, 1.0, 20))
PAIR = (Axis("odd", 0.0, 1.0, 10), Axis("size", -2.0, 6.0, 4))
points = st.lists(
    st.tuples(
        st.sampled_from([-1.0, 0.0, 0.25, 0.5, 2.0]),  # equal qualities are what is delicate
        st.floats(-0.5, 1.5),
        st.floats(-4, 8),
    ),
    max_size=30,
)

Array = NDArray[np.float64]


def build(name: str, d: int = 6, **options: Any) -> _EmitterSearcher:
    seed, starts = options.pop("seed", 5), options.pop("starts", ())
    found = build_searcher(name, box(d), seed=seed, starts=starts, options=options, measures=AXES)
    assert isinstance(found, _EmitterSearcher)
    return found


def kind(x: Array) -> tuple[float, float]:
    """Means of the genes' halves: far ends are rare by chance (Fontaine et al. 2020)."""
    half = len(x) // 2
    return float(x[:half].mean()), float(x[half:].mean())


def answer(proposal: Proposal) -> Evaluation:
    return Evaluation(proposal.id, (sphere(proposal.genome),), measures=kind(proposal.genome))


def drive(
    searcher: _EmitterSearcher, asks: int, reply: Callable[[Proposal], Evaluation] = answer
) -> list[list[Proposal]]:
    asked = []
    for _ in range(asks):
        asked.append(searcher.ask())
        searcher.tell([reply(proposal) for proposal in asked[-1]])
    return asked


def archived(genomes: list[Array]) -> GridArchive:
    archive = GridArchive(AXES)
    for number, x in enumerate(genomes):
        archive.add(Elite(str(number), x, sphere(x), kind(x)))
    return archive


@given(points)
def test_the_same_stay_as_in_pyribs(found: list[tuple[float, float, float]]) -> None:
    theirs = load_pyribs().archives.GridArchive(
        solution_dim=1,
        dims=[axis.bins for axis in PAIR],
        ranges=[(axis.low, axis.high) for axis in PAIR],
    )
    ours = GridArchive(PAIR)
    for number, (quality, *measures) in enumerate(found):
        added = theirs.add_single(np.array([number]), quality, np.array(measures))
        assert ours.add(Elite(str(number), None, quality, tuple(measures))) == bool(added["status"])
    kept = sorted(int(number) for number in theirs.data("solution")[:, 0])
    assert sorted(int(item.id) for item in ours.elites) == kept


@BOTH
def test_proposes_what_pyribs_alone_does(name: str) -> None:
    searcher = build(name, emitters=1, population=8)
    ribs = load_pyribs()
    soft = {"learning_rate": 0.01, "threshold_min": 0.0} if name == "cma_mae" else {}
    archive = ribs.archives.GridArchive(
        solution_dim=6, dims=[20, 20], ranges=[(0, 1), (0, 1)], **soft
    )
    emitter = ribs.emitters.EvolutionStrategyEmitter(
        archive,
        x0=np.full(6, 0.5),
        sigma0=0.2,
        batch_size=8,
        ranker=searcher.ranker,
        selection_rule=searcher.selection_rule,
        restart_rule=searcher.restart_rule,
    )
    floor = 0.0
    for ask in range(12):
        emitter._opt._rng = np.random.default_rng((5, ask, 0))
        points = np.clip(emitter.ask(), 0, 1)
        proposals = searcher.ask()
        # Genomes are rounded to the genes' grid, which is what the archive keeps.
        np.testing.assert_allclose([p.genome for p in proposals], points, atol=1e-6)
        points = np.array([p.genome for p in proposals])
        searcher.tell([answer(p) for p in proposals])
        values = np.array([sphere(p.genome) for p in proposals])
        if ask == 0:
            floor = values.min() - 0.01 * np.ptp(values)
        measures = [kind(p.genome) for p in proposals]
        added = [
            archive.add_single(*row) for row in zip(points, values - floor, measures, strict=True)
        ]
        found = {key: np.array([item[key] for item in added]) for key in ("status", "value")}
        archive._rng = np.random.default_rng((5, ask + 1, 0, 2))
        emitter.tell(points, values - floor, np.array(measures), found)
    assert emitter.restarts == searcher._emitters[0].restarts


@pytest.mark.parametrize(("name", "cells", "worth"), [("cma_me", 1.5, 1.5), ("cma_mae", 0.8, 1.1)])
def test_fills_an_archive_better_than_chance(name: str, cells: float, worth: float) -> None:
    asked = drive(build(name, d=12), 60)
    found = [p.genome for generation in asked for p in generation]
    ours = archived(found)
    by_chance = archived(list(np.random.default_rng(0).random((len(found), 12))))
    assert len(ours) > cells * len(by_chance)
    lowest = min(elite.quality for elite in by_chance.elites)
    ours_worth, chance = (
        sum(elite.quality - lowest for elite in archive.elites) for archive in (ours, by_chance)
    )
    assert ours_worth > worth * chance


@BOTH
def test_what_failed_or_misses_constraints_is_never_an_elite(name: str) -> None:
    def reply(proposal: Proposal) -> Evaluation:
        number = int(proposal.id.split("-")[1]) % 5
        if number == 0:
            return Evaluation(proposal.id, None, "out of memory")
        found = answer(proposal)
        if number == 1:
            return Evaluation(proposal.id, found.values, violation=0.2, measures=found.measures)
        if number == 2:
            return Evaluation(proposal.id, found.values, measures=(0.5, float("nan")))
        return found

    searcher = build(name, population=10, emitters=1)
    asked = drive(searcher, 10, reply)
    searcher.ask()
    sound = {
        p.genome.tobytes()
        for generation in asked
        for p in generation
        if int(p.id.split("-")[1]) % 5 > 2
    }
    kept = searcher._archive.data("solution")
    assert len(kept) > 5
    assert {row.tobytes() for row in kept} <= sound


@BOTH
def test_a_late_result_holds_up_its_own_emitter_alone(name: str) -> None:
    searcher = build(name, population=4, emitters=2)
    first = searcher.ask(8)
    searcher.tell([answer(p) for p in first[1:]])  # the first emitter's batch lacks one
    assert len(searcher.ask(4)) == 4  # the second's next batch
    assert [batch.emitter for batch in searcher._batches] == [0, 1]
    searcher.ask(4)  # both wait: another emitter begins
    assert [batch.emitter for batch in searcher._batches] == [0, 1, 2]
    searcher.tell([answer(first[0])])
    searcher.ask(4)
    assert [batch.emitter for batch in searcher._batches] == [1, 2, 0]


@BOTH
@pytest.mark.parametrize(
    "reply",
    [
        lambda p: Evaluation(p.id, None, "no"),
        lambda p: Evaluation(p.id, (0.0,), measures=(0.5, 0.5)),
        lambda p: Evaluation(p.id, (0.0,), measures=kind(p.genome)),
    ],
    ids=["all fail", "all equal", "all equal but of many kinds"],
)
def test_goes_on_where_there_is_nothing_to_learn(
    name: str, reply: Callable[[Proposal], Evaluation]
) -> None:
    asked = drive(build(name), 8, reply)
    found = {p.genome.tobytes() for generation in asked for p in generation}
    assert len(found) == sum(map(len, asked))


@BOTH
def test_begins_in_a_corner_of_many_dimensions(name: str) -> None:
    corner = [Start("base", np.zeros(120))]
    searcher = build(name, d=120, starts=corner, population=6)
    for generation in drive(searcher, 4):
        assert all((p.genome >= 0).all() and (p.genome <= 1).all() for p in generation)


@BOTH
def test_starts_come_beside_whole_batches(name: str) -> None:
    starts = [Start("base", np.zeros(6)), Start("uniform", np.full(6, 0.3))]
    asked = drive(build(name, starts=starts, population=5, emitters=2), 3)
    assert [len(generation) for generation in asked] == [12, 10, 10]


def test_says_how_to_install_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ribs", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'evomerge\[qd\]', or use"):
        build("cma_me")


def test_paths_are_refused() -> None:
    with pytest.raises(SearchError, match="cma_me searches numbers and choices, but this run"):
        build_searcher("cma_me", PathSpace([("a", 0)], 3), seed=0, measures=AXES)
