"""The m2n2 searcher, in plain numbers: whom it keeps, whom it crosses, what comes out."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evomerge.errors import SearchError
from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.m2n2 import M2N2Searcher
from evomerge.search.niches import coverage
from evomerge.search.protocol import Evaluation, Proposal, Start, build_searcher
from evomerge.search.snapshots import Snapshot
from tests.search.segmented import dense_slerp, space_of

Array = NDArray[np.float64]
N_EXAMPLES = 12


def build(space: Any, **options: Any) -> M2N2Searcher:
    seed = options.pop("seed", 3)
    starts = options.pop("starts", ())
    found = build_searcher("m2n2", space, seed=seed, starts=starts, options=options)
    assert isinstance(found, M2N2Searcher)
    return found


def scored(proposal: Proposal, scores: Sequence[float], **more: Any) -> Evaluation:
    examples = np.array(scores, dtype=float)
    return Evaluation(proposal.id, (float(np.nanmean(examples)),), examples=examples, **more)


def scores_by_sum(genome: Array) -> list[float]:
    """Scores that depend on the genome alone: some right, some wrong, one in between."""
    rng = np.random.default_rng(int(abs(genome).sum() * 1e6))
    return [*(rng.random(N_EXAMPLES - 1) < 0.4).astype(float), rng.random()]


def answer(proposal: Proposal) -> Evaluation:
    if int(proposal.id.split("-")[0]) % 7 == 5:
        return Evaluation(proposal.id, None, "out of memory")
    return scored(proposal, scores_by_sum(proposal.genome))


def drive(
    searcher: M2N2Searcher, asks: int, reply: Callable[..., Evaluation] = answer
) -> list[Any]:
    asked = []
    for _ in range(asks):
        proposals = searcher.ask()
        asked.append(proposals)
        searcher.tell([reply(proposal) for proposal in proposals])
    return asked


def plain(asked: list[Any]) -> list[Any]:
    return [[(p.id, p.genome.tobytes(), p.origin, p.parents) for p in ask] for ask in asked]


# Coefficients and weights


@pytest.mark.parametrize("chromosomes", [(), ("attn", "rest"), ("mlp", "attn", "embed", "head")])
def test_ten_generations_of_coefficients_are_dense_slerps(chromosomes: tuple[str, ...]) -> None:
    space, dense = space_of(3, chromosomes=chromosomes)
    rng = np.random.default_rng(1)
    genomes = [space.alone(index) for index in range(3)]
    models = [dense.weights(space, genome) for genome in genomes]
    for _ in range(10):
        one, two = rng.choice(len(genomes), size=2, replace=False)
        parts, model = [], []
        pairs = zip(space.unpack(genomes[one]), space.unpack(genomes[two]), strict=True)
        for index, (a, b) in enumerate(pairs):
            split, weight = int(rng.integers(space.sizes[index])), float(rng.random())
            parts.append(space.join(index, a, b, cut=split, weight=weight))
            model.append(dense_slerp(weight, split, models[one][index], models[two][index]))
        genomes.append(space.pack(parts))
        models.append(model)
        for found, expected in zip(dense.weights(space, genomes[-1]), model, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)
    assert max(len(part.ends) for part in space.unpack(genomes[-1])) > 2


@given(st.floats(0, 1), st.integers(0, 240), st.sampled_from([0.0, 1e-9, 1e-3, 1.0]))
@settings(max_examples=30)
def test_near_parallel_and_opposite_parents_are_joined(w: float, split: int, apart: float) -> None:
    base = np.random.default_rng(0).normal(size=(1, 276))
    other = apart * np.random.default_rng(1).normal(size=(1, 276))
    for sign in (1.0, -1.0):
        space, dense = space_of(2, sources=np.concatenate([base, sign * base + other]))
        a, b = (space.unpack(space.alone(index))[0] for index in (0, 1))
        child = space.pack([space.join(0, a, b, cut=split, weight=w)])
        found = dense.weights(space, child)[0]
        assert np.isfinite(found).all()
        expected = dense_slerp(w, split, dense.parts[0][0], dense.parts[0][1])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_source_of_zeros_has_no_angle() -> None:
    sources = np.random.default_rng(0).normal(size=(2, 276))
    sources[1] = 0.0
    space, dense = space_of(2, sources=sources)
    a, b = (space.unpack(space.alone(index))[0] for index in (0, 1))
    child = space.pack([space.join(0, a, b, cut=100, weight=0.25)])
    found = dense.weights(space, child)[0]
    np.testing.assert_allclose(found[:100], 0.75 * sources[0, :100])
    np.testing.assert_allclose(found[100:], 0.25 * sources[0, 100:])


# Who is kept


def test_the_sources_come_first_and_the_worst_leaves() -> None:
    space, _ = space_of(3)
    searcher = build(space, archive=3, children=2)
    sources = searcher.ask()
    assert [p.origin for p in sources] == ["warm:parent:a", "warm:parent:b", "warm:parent:c"]
    golden = [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    searcher.tell([scored(p, row) for p, row in zip(sources, golden, strict=True)])
    children = searcher.ask()
    assert len(children) == 2
    assert all(p.origin == "m2n2" and len(set(p.parents)) == 2 for p in children)
    assert all(set(p.parents) <= {"0-0", "0-1", "0-2"} for p in children)
    searcher.tell([scored(children[0], [0, 1, 0])])
    # z = (2, 2, 1): f = (1, 0.5, 1, 0.5), and of the two at 0.5 the older one leaves
    assert [member.id for member in searcher.members] == ["0-0", "0-2", "1-0"]
    searcher.tell([scored(children[1], [0, 0, 0])])
    assert [member.id for member in searcher.members] == ["0-0", "0-2", "1-0"]


def test_a_niche_of_one_example_keeps_a_weak_model_alive() -> None:
    space, _ = space_of(2)
    strong, weak = [1.0] * 4 + [0.0], [0.0] * 4 + [1.0]
    kept = {}
    for alpha in (0.0, 1.0):
        searcher = build(space, archive=5, alpha=alpha)
        first, second = searcher.ask(2)
        searcher.tell([scored(first, weak), scored(second, strong)])
        for _ in range(12):
            searcher.tell([scored(p, strong) for p in searcher.ask(1)])
        kept[alpha] = coverage(np.array([member.scores for member in searcher.members]))
    assert kept == {0.0: 0.8, 1.0: 1.0}  # five strong ones have 4/5 each, the weak one 1


def test_failures_never_join_and_parents_are_found_all_the_same() -> None:
    space, _ = space_of(2)
    searcher = build(space)
    failed = [Evaluation(p.id, None, "out of memory") for p in searcher.ask()]
    searcher.tell(failed)
    assert searcher.members == ()
    child = searcher.ask()[0]
    assert set(child.parents) == {"0-0", "0-1"}
    searcher.tell([scored(child, [1.0])])
    assert [member.id for member in searcher.members] == [child.id]
    assert searcher.ask()[0].origin == "m2n2"


def test_what_keeps_the_constraints_outlives_all_else() -> None:
    space, _ = space_of(3)
    searcher = build(space, archive=2)
    a, b, c = searcher.ask()
    searcher.tell([scored(a, [1, 1], violation=0.5), scored(b, [1, 1], violation=0.1)])
    searcher.tell([scored(c, [0, 0])])
    assert [member.id for member in searcher.members] == [b.id, c.id]
    child = searcher.ask()[0]
    searcher.tell([scored(child, [0, 0])])
    assert [member.id for member in searcher.members] == [c.id, child.id]


def test_nothing_but_the_source_is_proposed_where_there_is_one() -> None:
    space, _ = space_of(1)
    searcher = build(space)
    (only,) = searcher.ask(4)
    searcher.tell([scored(only, [1, 0])])
    assert searcher.ask() == []
    assert searcher.ask(3) == []


@pytest.mark.parametrize("row", [[0.0] * 5, [1.0] * 5, [float("nan")] * 5, [0.3] * 5])
def test_scores_that_say_nothing_leave_all_parents_alike(row: list[float]) -> None:
    space, _ = space_of(16)
    searcher = build(space, archive=8)
    sources = searcher.ask()
    assert len(sources) == 16
    searcher.tell([Evaluation(p.id, (0.0,), examples=np.array(row)) for p in sources])
    assert [member.id for member in searcher.members] == [f"0-{i}" for i in range(8, 16)]
    parents = [set(searcher.ask()[0].parents) for _ in range(60)]
    assert all(len(pair) == 2 for pair in parents)
    assert len(set().union(*parents)) == 8


def test_duplicated_sources_are_two_models_with_one_niche() -> None:
    twins = np.repeat(np.random.default_rng(0).normal(size=(1, 276)), 2, axis=0)
    space, dense = space_of(2, sources=twins)
    searcher = build(space)
    for proposals in drive(searcher, 6):
        for proposal in proposals:
            np.testing.assert_allclose(dense.weights(space, proposal.genome)[0], twins[0])


# Whom it crosses


def pairs(searcher: M2N2Searcher, n: int) -> list[tuple[str, str]]:
    return [searcher.ask()[0].parents for _ in range(n)]


def test_parents_are_drawn_by_fitness_and_by_attraction() -> None:
    space, _ = space_of(3)
    golden = [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    searcher = build(space)
    searcher.tell([scored(p, row) for p, row in zip(searcher.ask(), golden, strict=True)])
    found = pairs(searcher, 600)
    first = [sum(one == f"0-{i}" for one, _ in found) / 600 for i in range(3)]
    np.testing.assert_allclose(first, [0.5, 1 / 6, 1 / 3], atol=0.06)  # f = (1.5, 0.5, 1)
    assert {two for one, two in found if one == "0-0"} == {"0-2"}  # g = (0, 0, 1)
    beside = [two for one, two in found if one == "0-1"]  # g = (1, 0, 1)
    assert abs(beside.count("0-0") / len(beside) - 0.5) < 0.2
    plain_search = build(space, attraction=False)
    plain_search.tell([scored(p, r) for p, r in zip(plain_search.ask(), golden, strict=True)])
    free = pairs(plain_search, 200)
    assert {two for one, two in free if one == "0-0"} == {"0-1", "0-2"}
    assert all(one != two for one, two in free)


def test_without_a_split_point_one_weight_joins_all() -> None:
    space, _ = space_of(2)
    for child in (p for ask in drive(build(space, split_point=False), 8)[1:] for p in ask):
        assert len(space.unpack(child.genome)[0].ends) == 1
    cut = [p for ask in drive(build(space), 8)[1:] for p in ask]
    assert any(len(space.unpack(child.genome)[0].ends) > 2 for child in cut)


def test_cuts_lie_where_the_space_allows_them() -> None:
    for block, allowed in ((50, range(0, 276, 50)), ("any", range(276))):
        space, _ = space_of(2, block=block)
        for proposals in drive(build(space), 12):
            for proposal in proposals:
                assert set(space.unpack(proposal.genome)[0].ends[:-1].tolist()) <= set(allowed)


# As every searcher


@pytest.mark.parametrize("n", [2, 4])
def test_repeats_under_a_seed_and_leaves_the_global_state_alone(n: int) -> None:
    space, _ = space_of(n)
    random.seed(5)
    before = random.getstate()
    first = drive(build(space, children=3), 12)
    assert plain(first) == plain(drive(build(space_of(n)[0], children=3), 12))
    assert plain(first) != plain(drive(build(space, seed=4, children=3), 12))
    assert random.getstate() == before


@pytest.mark.parametrize("stop", [1, 2, 9])
def test_goes_on_from_a_snapshot_as_if_never_stopped(stop: int) -> None:
    space, _ = space_of(3, chromosomes=("attn", "rest"))
    whole = build(space, archive=4, children=2)
    expected = drive(whole, 14)
    part = build(space, archive=4, children=2)
    drive(part, stop)
    late = part.ask()
    taken = part.snapshot()
    stored = Snapshot(json.loads(json.dumps(taken.plain)), dict(taken.arrays))
    again = build(space_of(3, chromosomes=("attn", "rest"))[0], archive=4, children=2)
    again.restore(stored)
    again.tell([answer(proposal) for proposal in late])
    assert plain([late, *drive(again, 13 - stop)]) == plain(expected[stop:])


def test_late_results_and_asks_of_other_sizes_are_taken() -> None:
    def run() -> list[Any]:
        searcher = build(space_of(3)[0], archive=5)
        late: list[Proposal] = []
        asked = []
        for n in (2, 5, None, 1, 12, None, 4):
            proposals = searcher.ask(n)
            asked.append(proposals)
            searcher.tell([answer(p) for p in late])
            searcher.tell([answer(p) for p in proposals[: len(proposals) // 2]])
            late = proposals[len(proposals) // 2 :]
        return asked

    asked = run()
    assert [len(ask) for ask in asked] == [2, 5, 1, 1, 12, 1, 4]
    assert plain(asked) == plain(run())
    assert [p.origin for p in asked[0] + asked[1]][:3] == [f"warm:parent:{n}" for n in "abc"]


def test_starts_of_the_user_come_beside_the_sources_and_no_copies() -> None:
    space, _ = space_of(2)
    starts = [Start("parent:b", space.alone(1)), Start("recipe:mine", space.middle())]
    searcher = build(space, starts=starts)
    assert [p.origin for p in searcher.ask()] == [
        "warm:parent:a",
        "warm:parent:b",
        "warm:recipe:mine",
    ]
    genomes = [p.genome.tobytes() for ask in drive(build(space), 30) for p in ask]
    assert len(set(genomes)) == len(genomes)


def test_what_it_cannot_use_is_refused() -> None:
    with pytest.raises(
        SearchError, match="m2n2 crosses models, but this space is one of separate genes"
    ):
        build(SearchSpace([Gene("weight", "float")]))
    space, _ = space_of(2)
    searcher = build(space)
    first, second = searcher.ask()
    with pytest.raises(SearchError, match="has no scores of examples"):
        searcher.tell([Evaluation(first.id, (1.0,))])
    searcher.tell([scored(first, [1, 0])])
    with pytest.raises(SearchError, match="not waiting"):
        searcher.tell([scored(second, [1, 0]), scored(first, [1, 0])])
    assert [member.id for member in searcher.members] == [first.id]


def test_it_is_the_published_loop_on_whole_models() -> None:
    """With equal random numbers, the authors' loop over arrays makes the same choices."""
    space, dense = space_of(2)
    probes = np.random.default_rng(7).normal(size=(40, 276))

    def solved(model: Array) -> Array:
        return (probes @ model > 6).astype(float)

    searcher = build(space, archive=6, seed=11)
    found = []
    for _ in range(150):
        for proposal in searcher.ask():
            found.append(dense.weights(space, proposal.genome)[0])
            searcher.tell([scored(proposal, solved(found[-1]))])

    archive = list(dense.parts[0])
    scores = [solved(model) for model in archive]
    for step in range(1, 150):
        rng = np.random.default_rng((11, step))
        table = np.array(scores)
        shared = table / np.where(table.sum(axis=0) > 0, table.sum(axis=0), 1)
        fit = shared.sum(axis=1)
        one = int(rng.choice(len(fit), p=fit / fit.sum()))
        match = np.maximum(0, shared - shared[one]).sum(axis=1)
        if not match.any():
            match = np.where(np.arange(len(fit)) == one, 0, fit)
        two = int(rng.choice(len(match), p=match / match.sum()))
        split, weight = int(rng.integers(276)), float(rng.random())
        child = dense_slerp(weight, split, archive[one], archive[two])
        np.testing.assert_allclose(found[step + 1], child, rtol=1e-6, atol=1e-6)
        archive.append(child)
        scores.append(solved(child))
        if len(archive) > 6:
            table = np.array(scores)
            shared = table / np.where(table.sum(axis=0) > 0, table.sum(axis=0), 1)
            worst = int(shared.sum(axis=1).round(9).argmin())
            del archive[worst], scores[worst]
    assert len({tuple(row) for row in scores}) > 3
