"""Evolve a digit classifier from random weights: M2N2, its ablations and its peers, as curves.

Run: OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/from_scratch.py

The task is that of the authors' code (SakanaAI/natural_niches) without ``--use_pre_trained``: 8×8
digits from scikit-learn, the first 80 % to train on, a network of 64, 256 and 10 units (19,210
parameters), two random founders of standard deviation 0.01, mutation by noise of 0.01, an archive
of 20. "published loop" and "published GA" are that code's loops written with numpy, with their own
random draws; all others are evomerge's searchers over a LineageSpace, but for separable CMA-ES
(pycma on the raw weights, populations of 20, sigma 0.01, as theirs), which proposes weights and no
lineage. GA is M2N2 with alpha 0 and without attraction. MAP-Elites has 10×10 cells of the
accuracies on odd and even digits. Accuracy is that of the kept network that is best in training, on
the other 20 %; coverage the share of training images that some kept network solves (of CMA-ES: the
best alone).
Differences are paired by seed, with 95 % bootstrap intervals.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cma
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from evomerge.merging.evolving import Nursery, crossed
from evomerge.recipes.lineage import LineageSpace
from evomerge.recipes.recipe import Recipe, Source
from evomerge.search.grid_archive import Axis
from evomerge.search.m2n2 import M2N2Searcher
from evomerge.search.map_elites import MapElitesSearcher
from evomerge.search.niches import coverage
from evomerge.search.protocol import Evaluation

Array = NDArray[np.float64]
Weights = NDArray[np.float32]
Set = tuple[NDArray[np.float32], NDArray[np.int64]]
State = tuple[Weights, Array]
"""After a pass: the weights of the kept network that is best in training; scores of all kept."""

LAYERS = (64, 256, 10)
SIZE = 19_210
STEPS = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)
VARIANTS = {
    "m2n2": {},
    "without attraction": {"attraction": False},
    "without split point": {"split_point": False},
    "without competition (alpha 0)": {"alpha": 0.0},
    "GA": {"alpha": 0.0, "attraction": False},
}


def main() -> None:
    """Print one line a method and step, then differences to M2N2."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--out", type=Path, help="JSON file of all figures.")
    options = parser.parse_args()
    images, labels = load_digits(return_X_y=True)
    cut = int(len(images) * 0.8)
    train = images[:cut].astype(np.float32), labels[:cut]
    test = images[cut:].astype(np.float32), labels[cut:]
    steps = [step for step in STEPS if step <= options.passes]
    found: dict[str, Array] = {}
    for name in options.methods:
        rows, began = [], time.process_time()
        for seed in range(42, 42 + options.seeds):
            rows.append(curve(METHODS[name](seed, train), steps, test))
        found[name] = np.array(rows)  # (seeds, steps, 3)
        spent = (time.process_time() - began) / options.seeds / steps[-1]
        for index, step in enumerate(steps):
            tested, trained, covered = found[name][:, index].T
            print(
                f"{name}, {step} passes: test accuracy {interval(tested)}, training accuracy "
                f"{trained.mean():.3f}, coverage {covered.mean():.3f}"
            )
        print(f"{name}: {1000 * spent:.1f} ms a pass", flush=True)
    for name in found if "m2n2" in found else ():
        if name != "m2n2":
            gap = found["m2n2"][:, -1] - found[name][:, -1]
            print(f"m2n2 − {name}: accuracy {interval(gap[:, 0])}, coverage {interval(gap[:, 2])}")
    if options.out:
        plain = {name: rows.tolist() for name, rows in found.items()}
        options.out.write_text(json.dumps({"steps": steps, "found": plain}))


def curve(states: Iterator[State], steps: list[int], test: Set) -> list[list[float]]:
    """Return (test accuracy, training accuracy, coverage) after each of ``steps`` passes."""
    found = []
    for done, (weights, scores) in enumerate(states, 1):
        if done in steps:
            trained = scores.mean(axis=1).max()
            found.append([float(right(weights, test).mean()), trained, coverage(scores)])
        if done == steps[-1]:
            break
    return found


def interval(values: Array) -> str:
    """Return a mean and its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, size=(10_000, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def right(weights: Weights, examples: Set) -> Array:
    """Return 1 for each image that a network recognises, else 0."""
    n_in, n_hidden, n_out = LAYERS
    ends = np.cumsum([n_in * n_hidden, n_hidden, n_hidden * n_out])
    w1, b1, w2, b2 = np.split(weights, ends)
    hidden = np.maximum(examples[0] @ w1.reshape(n_hidden, n_in).T + b1, 0)
    outputs = hidden @ w2.reshape(n_out, n_hidden).T + b2
    return (outputs.argmax(axis=1) == examples[1]).astype(np.float64)


class Evolution:
    """Networks of one search, built from their lineage as a worker builds them."""

    def __init__(self, seed: int, train: Set, folder: Path) -> None:
        network = Source("network", "network:mlp", "0" * 64)
        self.space = LineageSpace(network, SIZE, seed=seed)
        self.train = train
        self._recipes: dict[str, Recipe] = {}
        self._nursery = Nursery(SIZE, folder, self._recipes.__getitem__)

    def weights(self, genome: Array) -> Weights:
        """Return the weights of a network."""
        recipe = self.space.recipe(self.space.decode(genome))
        self._recipes[recipe.hash()] = recipe
        return self._nursery.weights(recipe)


def m2n2(settings: dict[str, object]) -> Callable[[int, Set], Iterator[State]]:
    """Return M2N2 with ``settings``; the founders' passes aren't counted, as in their code."""

    def states(seed: int, train: Set) -> Iterator[State]:
        with tempfile.TemporaryDirectory() as folder:
            evolution = Evolution(seed, train, Path(folder))
            searcher = M2N2Searcher(
                evolution.space,
                seed=seed,
                archive=20,
                **settings,  # type: ignore[arg-type]
            )
            while True:
                for proposal in searcher.ask():
                    scores = right(evolution.weights(proposal.genome), train)
                    result = Evaluation(proposal.id, (scores.mean(),), examples=scores)
                    searcher.tell([result])
                    if not proposal.origin.startswith("warm:"):
                        kept = np.stack([member.scores for member in searcher.members])
                        best = searcher.members[int(kept.mean(axis=1).argmax())]
                        yield evolution.weights(best.genome), kept

    return states


def map_elites(seed: int, train: Set) -> Iterator[State]:
    """Yield the states of MAP-Elites."""
    odd = train[1] % 2 == 1
    axes = [Axis(name, 0.0, 1.0, 10) for name in ("odd", "even")]
    with tempfile.TemporaryDirectory() as folder:
        evolution = Evolution(seed, train, Path(folder))
        searcher = MapElitesSearcher(evolution.space, seed=seed, measures=axes, population=1)
        known: dict[str, tuple[Array, Array]] = {}
        while True:
            for proposal in searcher.ask():
                scores = right(evolution.weights(proposal.genome), train)
                known[proposal.id] = proposal.genome, scores
                kinds = float(scores[odd].mean()), float(scores[~odd].mean())
                searcher.tell([Evaluation(proposal.id, (scores.mean(),), measures=kinds)])
                names = searcher.living()
                kept = np.stack([known[name][1] for name in names])
                if not proposal.origin.startswith("warm:"):
                    best = names[int(kept.mean(axis=1).argmax())]
                    yield evolution.weights(known[best][0]), kept


def published(seed: int, train: Set, *, alpha: float = 1.0) -> Iterator[State]:
    """Yield the states of the authors' loop; with alpha 0 of their GA, which has no attraction."""
    rng = np.random.default_rng(seed)
    archive = np.zeros((20, SIZE), dtype=np.float32)
    scores = np.zeros((20, len(train[1])))

    def update(model: Weights) -> None:
        extended = np.concatenate([scores, right(model, train)[None]])
        worst = int((extended / price(extended)).sum(axis=1).argmin())
        if worst < len(scores):
            scores[worst], archive[worst] = extended[-1], model

    def price(matrix: Array) -> Array:
        total = matrix.sum(axis=0)
        return np.where(total > 0, total, 1) ** alpha

    def noise() -> Weights:
        return np.float32(0.01) * rng.standard_normal(SIZE, dtype=np.float32)

    for _ in range(2):
        update(noise())
    while True:
        shared = scores / price(scores)
        fitness = shared.sum(axis=1)
        one = rng.choice(20, p=fitness / fitness.sum())
        match = np.maximum(0, shared - shared[one]).sum(axis=1) if alpha else fitness
        two = rng.choice(20, p=match / match.sum())
        weight, split = rng.random(), int(rng.integers(SIZE))
        update(crossed(archive[one], archive[two], weight=weight, cut=split) + noise())
        yield archive[int(scores.mean(axis=1).argmax())], scores


def cma_es(seed: int, train: Set) -> Iterator[State]:
    """Yield the states of separable CMA-ES on the raw weights."""
    start = np.random.default_rng(seed).normal(scale=0.01, size=SIZE)
    settings = {"popsize": 20, "seed": seed, "CMA_diagonal": True, "verbose": -9}
    strategy = cma.CMAEvolutionStrategy(start, 0.01, settings)
    best: tuple[float, Weights, Array] | None = None
    while True:
        points = strategy.ask()
        losses = []
        for point in points:
            weights = np.asarray(point, dtype=np.float32)
            scores = right(weights, train)
            losses.append(-scores.mean())
            if best is None or scores.mean() > best[0]:
                best = scores.mean(), weights, scores
            yield best[1], best[2][None]
        strategy.tell(points, losses)


METHODS: dict[str, Callable[[int, Set], Iterator[State]]] = {
    **{name: m2n2(dict(settings)) for name, settings in VARIANTS.items()},
    "published loop": published,
    "published GA": partial(published, alpha=0.0),
    "MAP-Elites": map_elites,
    "separable CMA-ES": cma_es,
}

if __name__ == "__main__":
    main()
