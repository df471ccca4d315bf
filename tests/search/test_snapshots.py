"""Replay, snapshots and late results: any order of asks and tells repeats, from any point on."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.errors import SearchError
from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.optuna import OptunaSearcher
from evomerge.search.protocol import Evaluation, Proposal, Restorable, Searcher, build_searcher
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot
from tests.contracts.test_searchers import AXES, SPACE, STARTS, VARIANTS
from tests.search.functions import box

CELLS = SearchSpace([Gene("n", "int", 0, 9), Gene("m", "categorical", choices=tuple("abcdefgh"))])
SPACES = {"continuous": box(3), "mixed": SPACE, "cells": CELLS}
QUICK = [(n, o) for n, o in VARIANTS if "TPESampler" not in o.values() and n != "optuna"]
QUICK += [("optuna", {"sampler": "NSGAIISampler", "population": 4})]
ALL = [*QUICK, ("optuna", {"sampler": "TPESampler", "window": 50, "population": 5})]
Step = tuple[int | None, Sequence[int]]

steps = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(1, 7)),
        st.lists(st.integers(0, 1000), max_size=8),
    ),
    min_size=1,
    max_size=8,
)


def answer(proposal: Proposal) -> Evaluation:
    if int(proposal.id.split("-")[0]) % 5 == 3:
        return Evaluation(proposal.id, None, "out of memory")
    value = -float(((proposal.genome - 0.4) ** 2).sum())
    return Evaluation(proposal.id, (value,), measures=(value, float(proposal.genome[0])))


@dataclass
class Talk:
    """A searcher, and its proposals that wait for a result."""

    searcher: Searcher
    out: list[Proposal]

    def go(self, script: Sequence[Step]) -> list[tuple[str, bytes, str]]:
        """Ask and tell by the script: how many to ask for, then which of those out to tell."""
        said = []
        for n, picks in script:
            proposals = self.searcher.ask(n)
            said += [(p.id, p.genome.tobytes(), p.origin) for p in proposals]
            self.out += proposals
            done = [self.out.pop(pick % len(self.out)) for pick in picks if self.out]
            self.searcher.tell([answer(p) for p in done])
        return said


def build(name: str, options: dict[str, Any], space: str) -> Searcher:
    starts = STARTS if space == "mixed" else []
    return build_searcher(
        name, SPACES[space], seed=7, starts=starts, options=options, measures=AXES
    )


def through_json(snapshot: Snapshot) -> Snapshot:
    return Snapshot(json.loads(json.dumps(snapshot.plain)), snapshot.arrays)


@given(script=steps, variant=st.sampled_from(QUICK), space=st.sampled_from(sorted(SPACES)))
@settings(deadline=None, max_examples=15)
def test_any_order_of_asks_and_tells_repeats(
    script: list[Step], variant: tuple[str, dict[str, Any]], space: str
) -> None:
    first, second = (Talk(build(*variant, space), []) for _ in range(2))
    said = first.go(script)
    assert said == second.go(script)
    assert len({name for name, _, _ in said}) == len(said)
    with pytest.raises(SearchError, match="not waiting"):
        first.searcher.tell([Evaluation("99-0", (0.0,))])
    first.searcher.tell([answer(p) for p in first.out])  # each id once, at the very end
    assert first.searcher.ask(1) or variant[0] == "grid"


@given(script=steps, variant=st.sampled_from(QUICK), space=st.sampled_from(sorted(SPACES)))
@settings(deadline=None, max_examples=15)
def test_a_snapshot_goes_on_like_the_searcher_it_is_of(
    script: list[Step], variant: tuple[str, dict[str, Any]], space: str
) -> None:
    check_snapshot(variant, space, script)


SCRIPT: list[Step] = [(n, range(k)) for n, k in [(None, 3), (4, 6), (1, 0), (3, 5), (2, 2)] * 6]


@pytest.mark.parametrize("variant", ALL, ids=[f"{n}-{'-'.join(map(str, o))}" for n, o in ALL])
def test_long_talks_go_on_from_a_snapshot(variant: tuple[str, dict[str, Any]]) -> None:
    check_snapshot(variant, "mixed", SCRIPT)


def check_snapshot(variant: tuple[str, dict[str, Any]], space: str, script: Sequence[Step]) -> None:
    talk = Talk(build(*variant, space), [])
    talk.go(script)
    assert isinstance(talk.searcher, Restorable)
    snapshot = through_json(talk.searcher.snapshot())
    fresh = build(*variant, space)
    assert isinstance(fresh, Restorable)
    fresh.ask(2)  # whatever it was told and asked before is forgotten
    fresh.restore(snapshot)
    again = Talk(fresh, list(talk.out))
    more: list[Step] = [(2, [0, 1, 5]), (1, [2]), (None, [0, 0, 0])]
    assert talk.go(more) == again.go(more)


PROCESS = """
import json, math, sys
import numpy as np
from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.protocol import Evaluation, build_searcher
from evomerge.search.snapshots import Snapshot

def tell(name):
    ask, index = map(int, name.split("-"))
    searcher.tell([Evaluation(name, (math.sin(17.0 * ask + index),))])

file, what, kind, population = sys.argv[1:]
space = SearchSpace([Gene(f"g{i}", kind, -1.0, 9.0) for i in range(3)])
corner = {"population": int(population), "sigma": 0.5, "x0": [0.02, 0.5, 0.98]}
searcher = build_searcher("cma_es", space, seed=0, options=corner)
if what == "take":
    for _ in range(3):
        for proposal in searcher.ask(6)[:3]:
            tell(proposal.id)
    snapshot = searcher.snapshot()
    np.savez(file, plain=json.dumps(snapshot.plain), **snapshot.arrays)
else:
    stored = dict(np.load(file, allow_pickle=False))
    searcher.restore(Snapshot(json.loads(str(stored.pop("plain"))), stored))
for late in [f"{ask}-{index}" for ask in range(3) for index in range(3, 6)]:
    tell(late)
    print([p.genome.tolist() for p in searcher.ask(2)], searcher._es.mean.tolist())
"""


@pytest.mark.parametrize(("kind", "population"), [("float", "4"), ("int", "4"), ("float", "33")])
def test_a_snapshot_goes_on_in_another_process(tmp_path: Path, kind: str, population: str) -> None:
    """Each process salts the hash of bytes anew, and pycma files its solutions by that."""

    def said(what: str, salt: str) -> str:
        words = [str(tmp_path / "state.npz"), what, kind, population]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROCESS, *words],
            env=os.environ | {"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    first = said("take", "1")
    assert first.count("\n") == 9
    assert said("put back", "2") == first


def test_a_snapshot_isnt_changed_by_what_comes_later() -> None:
    searcher = build("cma_es", {}, "continuous")
    assert isinstance(searcher, Restorable)
    Talk(searcher, []).go(SCRIPT[:10])
    snapshot = searcher.snapshot()
    before = json.dumps(snapshot.plain), {n: a.copy() for n, a in snapshot.arrays.items()}
    Talk(searcher, []).go(SCRIPT[:10])
    assert json.dumps(snapshot.plain) == before[0]
    for name, array in snapshot.arrays.items():
        np.testing.assert_array_equal(array, before[1][name])


def test_a_damaged_or_foreign_snapshot_is_refused() -> None:
    searcher = build("random", {}, "continuous")
    assert isinstance(searcher, Restorable)
    foreign = {"object": "os:_Environ", "number": 0, "attributes": []}
    for plain in ({"_book": {"again": 3}}, {"_nothing": 1}, {"_book": foreign}):
        with pytest.raises(SearchError, match="snapshot can't be used"):
            searcher.restore(Snapshot(plain, {}))
    assert searcher.ask(1)


def test_shared_and_circular_parts_stay_so() -> None:
    class Owner:
        def __init__(self) -> None:
            self.both: Any = None

    owner, other = Owner(), Owner()
    array = np.arange(3.0)
    ring: list[Any] = [array, array, (1, {2}, np.float64(0.5))]
    ring.append(ring)
    owner.both = ring
    put_back(other, take_snapshot(owner, ["both"]))
    assert other.both[0] is other.both[1]
    assert other.both[0] is not array
    assert other.both[2] == (1, {2}, np.float64(0.5))
    assert other.both[3] is other.both


@pytest.mark.parametrize("name", ["cma_es", "grid", "random", "sobol"])
def test_copies_arent_proposed_while_there_is_something_new(name: str) -> None:
    searcher = build(name, {"population": 5} | ({"points": 10} if name == "grid" else {}), "cells")
    genomes = [p.genome.tobytes() for _ in range(40) for p in searcher.ask(1)]
    # Of 80 points a blind draw would repeat some ten times in 40.
    assert len(genomes) - len(set(genomes)) <= 1


def test_optuna_draws_copies_again() -> None:
    def repeats(n: int | None) -> int:
        options = {"sampler": "RandomSampler", "population": 40}
        genomes = [p.genome.tobytes() for p in build("optuna", options, "cells").ask(n)]
        return len(genomes) - len(set(genomes))

    assert repeats(40) <= 1 < repeats(None)


def test_a_late_result_joins_nsgas_present_generation() -> None:
    searcher = build("optuna", {"sampler": "NSGAIISampler", "population": 4}, "continuous")
    assert isinstance(searcher, OptunaSearcher)
    late, *first = searcher.ask(5)
    searcher.tell([answer(p) for p in first])
    searcher.ask(1)
    searcher.tell([Evaluation(late.id, (1.0,))])
    searcher.ask(1)
    trial = min(searcher._study.trials, key=lambda t: t.values[0] if t.values else 9)
    assert trial.values == [-1.0]  # Optuna is told losses
    assert trial.system_attrs["NSGAIISampler:generation"] == 1


def test_running_trials_stay_known_when_the_window_shrinks() -> None:
    options = {"window": 50, "settings": {"n_startup_trials": 10**6}}
    searcher = build("optuna", options, "continuous")
    assert isinstance(searcher, OptunaSearcher)
    late = searcher.ask(3)
    for _ in range(12):
        searcher.tell([answer(p) for p in searcher.ask(10)])
    states = [trial.state.name for trial in searcher._study.trials]
    assert len(states) < 100
    assert states.count("RUNNING") == 3 + 10  # Optuna hears of the last 10 at the next ask
    searcher.tell([Evaluation(p.id, (1.0 + i,)) for i, p in enumerate(late)])
    searcher.ask(1)
    assert searcher._study.best_value == -3.0  # Optuna is told losses
