"""Evolving paths: moves keep genomes valid, good orders are found, copies aren't made."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.genes import Gene
from evomerge.recipes.hops import scale_gene
from evomerge.recipes.paths import PATH, PathSpace
from evomerge.search.fronts import non_dominated
from evomerge.search.path_evolution import STALLED, PathEvolutionSearcher
from evomerge.search.path_model import PathModel, features
from evomerge.search.path_moves import (
    SCALE_MOVES,
    STEP_MOVES,
    Layout,
    Path,
    cross_paths,
    duplicate,
    mutate_numbers,
    swap_source,
)
from evomerge.search.protocol import Evaluation, Proposal, Searcher, Start, build_searcher
from evomerge.search.snapshots import Snapshot

CHOICES = [(source, layer) for source in ("a", "b") for layer in range(4)]
PLAIN = PathSpace(CHOICES, 8)
SCALED = PathSpace(CHOICES, 8, scale=scale_gene("scale", 0.5, 2.0))
JOINT = PathSpace(
    CHOICES, 6, genes=[Gene("mix.t", "float"), Gene("mix.on", "categorical", choices=(False, True))]
)
SPACES = {"plain": PLAIN, "scaled": SCALED, "joint": JOINT}
TARGET = [0, 5, 6, 2, 3]


def order_score(steps: list[int]) -> float:
    """Return minus the edit distance to ``TARGET``."""
    row = list(range(len(TARGET) + 1))
    for i, step in enumerate(steps, 1):
        before, row = row, [i]
        for j, wanted in enumerate(TARGET, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (step != wanted)))
    return -float(row[-1])


def plain_score(x: NDArray[np.float64]) -> float:
    return order_score([int(step) for step in x if step >= 0])


def pairs_in_order(x: NDArray[np.float64]) -> float:
    """Return how many pairs of steps have the lower layer first."""
    steps = x[x >= 0]
    return float(sum(a < b for i, a in enumerate(steps) for b in steps[i + 1 :])) - len(steps)


def answer(proposal: Proposal) -> Evaluation:
    if int(proposal.id.split("-")[1]) % 5 == 4:
        return Evaluation(proposal.id, None, "exploded")
    x = proposal.genome
    return Evaluation(proposal.id, (-float(abs(x[:8] - 2).sum()) - 0.1 * float(x.sum()),))


def talk(searcher: Searcher, script: list[int | None]) -> list[tuple[str, bytes, tuple[str, ...]]]:
    """Ask by the script; tell half of an ask at once and half of it one ask later."""
    said, late = [], list[Proposal]()
    for n in script:
        proposals = searcher.ask(n)
        said += [(p.id, p.genome.tobytes(), p.parents) for p in proposals]
        searcher.tell([answer(p) for p in late + proposals[::2]])
        late = proposals[1::2]
    searcher.tell([answer(p) for p in late])
    return said


@given(
    space=st.sampled_from(sorted(SPACES)),
    move=st.integers(0, len(STEP_MOVES) + len(SCALE_MOVES) - 1),
    seed=st.integers(0, 10**6),
)
@settings(deadline=None)
def test_every_move_of_every_path_is_a_valid_path(space: str, move: int, seed: int) -> None:
    layout, rng = Layout(SPACES[space]), np.random.default_rng(seed)
    numbers, path = layout.split(SPACES[space].snap(layout.random(rng)))
    _, other = layout.split(SPACES[space].snap(layout.random(rng)))
    (*STEP_MOVES, *SCALE_MOVES)[move](layout, path, rng)
    if len(numbers):
        mutate_numbers(SPACES[space], numbers, rng)
    for result in (path, cross_paths(path, other, rng)):
        genome = SPACES[space].snap(layout.join(numbers, result))
        assert len(genome) == SPACES[space].n_dims
        assert SPACES[space].decode(genome)[PATH]


def test_a_block_is_repeated_and_a_source_swapped() -> None:
    layout = Layout(PLAIN)
    path = Path([1], [0.5])
    duplicate(layout, path, np.random.default_rng(0))
    assert path.steps == [1, 1]
    swap_source(layout, path, np.random.default_rng(0))
    assert set(path.steps) <= {1, 5}
    assert 5 in path.steps


def test_finds_an_order_much_sooner_than_random() -> None:
    def needed(name: str, seed: int, most: int) -> int:
        searcher = build_searcher(name, PLAIN, seed=seed)
        for done in range(0, most, 8):
            proposals = searcher.ask(8)
            results = [Evaluation(p.id, (plain_score(p.genome),)) for p in proposals]
            if max(result.values[0] for result in results if result.values) == 0:
                return done + 8
            searcher.tell(results)
        return most

    assert max(needed("path_evolution", seed, 300) for seed in range(2)) < 300
    assert needed("random", 0, 1200) == 1200


@pytest.mark.parametrize("space", sorted(SPACES))
@pytest.mark.parametrize("name", ["path_evolution", "random"])
def test_asks_and_tells_repeat_and_go_on_from_a_snapshot(name: str, space: str) -> None:
    script: list[int | None] = [None, 3, 6, 1, None]
    starts = [
        Start("first", SPACES[space].snap(Layout(SPACES[space]).random(np.random.default_rng(0))))
    ]

    def build() -> Searcher:
        return build_searcher(name, SPACES[space], seed=5, starts=starts)

    searcher = build()
    first = talk(searcher, script)
    again = build()
    assert talk(again, script) == first
    snapshot = searcher.snapshot()  # type: ignore[attr-defined]  # both are Restorable
    restored = build()
    restored.restore(  # type: ignore[attr-defined]
        Snapshot(json.loads(json.dumps(snapshot.plain)), snapshot.arrays)
    )
    more = talk(restored, script)
    assert more == talk(searcher, script)
    if name == "path_evolution":
        assert {genome for _, genome, _ in more}.isdisjoint({genome for _, genome, _ in first})


def test_no_proposal_is_near_another() -> None:
    searcher = PathEvolutionSearcher(SCALED, seed=0)
    marks = []
    for _ in range(8):
        proposals = searcher.ask()
        marks += [mark for mark, _ in searcher._marks(np.array([p.genome for p in proposals]))]
        searcher.tell([answer(p) for p in proposals])
    assert len(set(marks)) == len(marks)


def test_children_name_their_parents() -> None:
    searcher = PathEvolutionSearcher(PLAIN, seed=0, crossover=1.0)
    known: set[str] = set()
    found: list[int] = []
    for _ in range(6):
        proposals = searcher.ask()
        assert all(set(p.parents) <= known for p in proposals)
        found += [len(p.parents) for p in proposals]
        searcher.tell([answer(p) for p in proposals])
        known |= {p.id for p in proposals}
    assert found[-1] == 2
    assert set(found) <= {0, 2}


def test_the_model_tells_good_orders_from_bad_ones() -> None:
    layout, rng = Layout(PLAIN), np.random.default_rng(0)
    genomes = np.array([layout.random(rng) for _ in range(260)])
    scores = np.array([pairs_in_order(genome) for genome in genomes])
    model = PathModel(layout, genomes[:200], scores[:200])
    assert np.corrcoef(model.promise(genomes[200:]), scores[200:])[0, 1] > 0.5


def test_features_worked_by_hand() -> None:
    layout = Layout(PathSpace([("a", 0), ("a", 1)], 3))
    found = features(layout, np.array([[1.0, 0.0, 0.0], [0.0, -1.0, -1.0]]))
    counts, first, rest = found[:, :2], found[:, 2:4], found[:, 4:]
    behind, before = rest[:, :6].reshape(2, 2, 3), rest[:, 6:].reshape(2, 2, 2)
    assert counts.tolist() == [[2, 1], [1, 0]]
    assert first.tolist() == [[0, 1], [1, 0]]
    assert behind.tolist() == [[[1, 0, 1], [1, 0, 0]], [[0, 0, 1], [0, 0, 0]]]
    assert before.tolist() == [[[1, 0], [1, 0]], [[0, 0], [0, 0]]]


def test_scales_wait_until_changes_of_steps_dont_pay() -> None:
    searcher = PathEvolutionSearcher(SCALED, seed=0)
    known: set[bytes] = set()
    scaled = {"early": 0, "late": 0}
    for ask in range(30):
        proposals = searcher.ask()
        early = searcher._since_better < STALLED
        for p in proposals:
            steps, scales = p.genome[:8].tobytes(), p.genome[8:]
            if steps in known:
                scaled["early" if early else "late"] += 1
                assert (scales != searcher._layout.one).any()
            known.add(steps)
        better = 1.0 if ask < 15 else 0.0
        searcher.tell(
            [Evaluation(p.id, (better * (ask + i / 9),)) for i, p in enumerate(proposals)]
        )
    assert scaled["early"] <= 12
    assert scaled["late"] >= 15


def test_what_misses_constraints_is_no_parent_of_what_keeps_them() -> None:
    searcher = PathEvolutionSearcher(PLAIN, seed=0)
    missed: set[str] = set()
    for ask in range(12):
        proposals = searcher.ask()
        if ask > 8:
            assert missed.isdisjoint({name for p in proposals for name in p.parents})
        results = [
            Evaluation(p.id, (float(len(p.genome)),), violation=float(p.genome[0] > 3))
            for p in proposals
        ]
        missed |= {r.candidate_id for r in results if r.violation}
        searcher.tell(results)
    assert missed


def test_a_pulse_changes_what_one_layer_is_compared_by() -> None:
    layout = Layout(SCALED)
    path = Path([0, 5, 6], [layout.one] * 3)
    pulsed = Path([0, 5, 6], [layout.one, layout.one + 0.2, layout.one - 0.2])
    rows = np.array([layout.join(np.empty(0), p) for p in (path, pulsed)])
    plain, changed = features(layout, rows)
    assert np.flatnonzero(~np.isclose(plain, changed)).tolist() == [len(plain) - len(CHOICES) + 5]
    blind = features(layout, rows, scales=False)
    np.testing.assert_array_equal(blind[0], blind[1])


def test_several_objectives_keep_the_front() -> None:
    searcher = PathEvolutionSearcher(PLAIN, seed=0, n_objectives=2)
    for _ in range(25):
        searcher.tell(
            [
                Evaluation(p.id, (plain_score(p.genome), -float((p.genome >= 0).sum())))
                for p in searcher.ask()
            ]
        )
    values = np.array([member.told.values for member in searcher._members])
    assert non_dominated(values).all()
    assert len(np.unique(values[:, 1])) > 2


@pytest.mark.parametrize("name", ["catcma", "cma_es", "grid", "optuna", "sobol"])
def test_what_needs_a_cube_refuses_paths(name: str) -> None:
    with pytest.raises(SearchError, match=rf"{name} searches numbers .* path_evolution or random"):
        build_searcher(name, PLAIN, seed=0)


@pytest.mark.parametrize("score", [0.0, float("nan")])
def test_equal_scores_and_failures_alone_are_taken(score: float) -> None:
    searcher = PathEvolutionSearcher(SCALED, seed=0)
    for _ in range(5):
        searcher.tell([Evaluation(p.id, (score,)) for p in searcher.ask()])
    assert len(searcher.ask()) == 8
