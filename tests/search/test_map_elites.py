"""MAP-Elites: it fills cells with the best of each kind, in every space."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.genes import Gene
from evomerge.recipes.paths import PathSpace
from evomerge.recipes.space import SearchSpace
from evomerge.search.grid_archive import Axis, GridArchive
from evomerge.search.map_elites import MapElitesSearcher
from evomerge.search.protocol import Evaluation, Proposal, Start, build_searcher
from tests.search.functions import box, sphere
from tests.search.segmented import space_of

AXES = (Axis("one", 0.0, 1.0, 8), Axis("two", 0.0, 1.0, 8))
CHOICES = [(source, layer) for source in ("a", "b") for layer in range(3)]


def build(space: Any, axes: tuple[Axis, ...] = AXES, **options: Any) -> MapElitesSearcher:
    seed, starts = options.pop("seed", 5), options.pop("starts", ())
    found = build_searcher(
        "map_elites", space, seed=seed, starts=starts, options=options, measures=axes
    )
    assert isinstance(found, MapElitesSearcher)
    return found


def on_two_genes(proposal: Proposal) -> Evaluation:
    x = proposal.genome
    return Evaluation(proposal.id, (sphere(x),), measures=(float(x[0]), float(x[1])))


def drive(
    searcher: MapElitesSearcher, asks: int, reply: Callable[[Proposal], Evaluation]
) -> list[list[Proposal]]:
    asked = []
    for _ in range(asks):
        asked.append(searcher.ask())
        searcher.tell([reply(proposal) for proposal in asked[-1]])
    return asked


def archived(asked: list[list[Proposal]]) -> GridArchive:
    """What an archive of all proposals holds."""
    archive = GridArchive(AXES)
    for generation in asked:
        for proposal in generation:
            x = proposal.genome
            archive.add(_elite(proposal.id, sphere(x), x))
    return archive


def _elite(name: str, quality: float, x: NDArray[np.float64]) -> Any:
    from evomerge.search.grid_archive import Elite

    return Elite(name, x, quality, (float(x[0]), float(x[1])))


@pytest.mark.parametrize("emitter", ["iso_line", "gaussian"])
def test_fills_more_cells_with_better_models_than_chance(emitter: str) -> None:
    ours = archived(drive(build(box(6), emitter=emitter), 60, on_two_genes))
    by_chance = GridArchive(AXES)
    for number, x in enumerate(np.random.default_rng(0).random((60 * 16, 6))):
        by_chance.add(_elite(str(number), sphere(x), x))
    assert len(ours) >= 60
    mean = np.mean([elite.quality for elite in ours.elites])
    assert mean > np.mean([elite.quality for elite in by_chance.elites]) + 0.03


def test_parents_are_elites_and_the_first_are_random() -> None:
    asked = drive(build(box(3)), 6, on_two_genes)
    assert [p.parents for p in asked[0]] == [()] * 16
    for number, generation in enumerate(asked[1:], 1):
        elites = {elite.id for elite in archived(asked[:number]).elites}
        assert all(p.parents and set(p.parents) <= elites for p in generation)


def test_failures_and_what_misses_constraints_never_breed() -> None:
    def reply(proposal: Proposal) -> Evaluation:
        kind = int(proposal.id.split("-")[1]) % 4
        if kind == 0:
            return Evaluation(proposal.id, None, "out of memory")
        answer = on_two_genes(proposal)
        if kind == 1:
            return Evaluation(proposal.id, answer.values, violation=0.1, measures=answer.measures)
        if kind == 2:
            return Evaluation(proposal.id, answer.values, measures=(float("nan"), 0.5))
        return answer

    asked = drive(build(box(3)), 5, reply)
    parents = {name for generation in asked[1:] for p in generation for name in p.parents}
    assert parents
    assert {int(name.split("-")[1]) % 4 for name in parents} == {3}


def test_goes_on_at_random_while_nothing_is_an_elite() -> None:
    asked = drive(build(box(3)), 4, lambda p: Evaluation(p.id, None, "no"))
    assert all(len(generation) == 16 for generation in asked)


def test_crosses_models_from_their_founders_on() -> None:
    space, _ = space_of(3)

    def reply(proposal: Proposal) -> Evaluation:
        weights = space.unpack(proposal.genome)[0].weights
        share = float(weights[0][0]), float(weights[-1][1])
        return Evaluation(proposal.id, (1.0 + share[0],), measures=share)

    asked = drive(build(space, population=4), 8, reply)
    assert [p.origin for p in asked[0][:3]] == [f"warm:parent:{name}" for name in "abc"]
    later = [p for generation in asked[1:] for p in generation]
    assert all(len(set(p.parents)) == 2 for p in later)
    assert max(len(space.unpack(p.genome)[0].ends) for p in later) > 2


def test_one_founder_alone_is_no_end() -> None:
    space, _ = space_of(1)
    reply = lambda p: Evaluation(p.id, (1.0,), measures=(0.5, 0.5))  # noqa: E731
    assert all(drive(build(space), 3, reply))


def test_paths_of_each_length_are_kept() -> None:
    space = PathSpace(CHOICES, 8)
    length = (Axis("steps", 0.5, 8.5, 8),)

    def reply(proposal: Proposal) -> Evaluation:
        steps = space.decode(proposal.genome)["path"]
        order = [layer for _, layer, *_ in steps]
        rising = sum(a < b for a, b in itertools.pairwise(order))
        return Evaluation(proposal.id, (rising / len(order),), measures=(float(len(order)),))

    asked = drive(build(space, length, population=8), 25, reply)
    lengths = {len(space.decode(p.genome)["path"]) for generation in asked for p in generation}
    assert lengths == set(range(1, 9))


def test_genes_with_few_values_move() -> None:
    space = SearchSpace([Gene("n", "int", 0, 4), Gene("c", "categorical", choices=tuple("abc"))])
    starts = [Start("base", space.snap(np.zeros(2)))]
    axes = (Axis("n", 0.0, 1.0, 5), Axis("c", 0.0, 1.0, 3))
    searcher = build(space, axes, starts=starts, population=1, emitter="gaussian", sigma=1e-3)
    reply = lambda p: Evaluation(p.id, (1.0,), measures=tuple(p.genome))  # noqa: E731
    found = {p.genome.tobytes() for asked in drive(searcher, 40, reply) for p in asked}
    assert len(found) == 15


def test_measures_and_one_objective_are_needed() -> None:
    with pytest.raises(SearchError, match=r"search\.measures doesn't say what kinds there are"):
        build(box(2), ())
    with pytest.raises(SearchError, match="map_elites optimises one objective, but 2"):
        build_searcher("map_elites", box(2), seed=0, n_objectives=2, measures=AXES)
    searcher = build(box(2))
    with pytest.raises(SearchError, match="the result of '0-0' has no measures"):
        searcher.tell([Evaluation(searcher.ask()[0].id, (1.0,))])
