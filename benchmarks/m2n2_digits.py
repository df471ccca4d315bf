"""Compare m2n2's coefficient form with the published loop on arrays, from two trained halves.

Run: OMP_NUM_THREADS=1 python benchmarks/m2n2_digits.py

The task is that of the authors' code (SakanaAI/natural_niches): 8×8 digits from scikit-learn, the
first 80 % to train on, a network of 64, 256 and 10 units (19,210 parameters), one parent trained on
0 to 4 and one on 5 to 9 by ten full-batch steps of Adam, an archive of 20. "published loop" is that
code's loop, written with numpy: whole networks in the archive, its own random draws; of equally fit
members it replaces that in the first place. "older leaves" is that loop with our rule for these,
and "our draws" that with our random numbers too: m2n2's search, on whole networks. "brute force"
tries 501 global weights. Printed is the accuracy on the other 20 % of the archive's model that is
best in training, that in training, and the share of training examples that some member solves;
beside all but the first variant also the first's minus it, paired by seed, with 95 % intervals by
bootstrap. Each seed has its own parents, the same in all variants; they are drawn with torch, so
that figures differ from those of the authors' parents.
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from evomerge.models.architecture import TensorFacts
from evomerge.recipes.segment_plan import SegmentSearch
from evomerge.recipes.segment_space import SegmentSpace
from evomerge.search.m2n2 import M2N2Searcher
from evomerge.search.niches import coverage
from evomerge.search.protocol import Evaluation

Array = NDArray[np.float64]
Set = tuple[Array, NDArray[np.int64]]
SHAPES = {"1.weight": (64, 256), "2.bias": (256,), "3.weight": (256, 10), "4.bias": (10,)}
VARIANTS: dict[str, dict[str, object]] = {
    "m2n2": {},
    "published loop": {},
    "older leaves": {},
    "our draws": {},
    "without attraction": {"attraction": False},
    "without split point": {"split_point": False},
    "genetic (alpha 0, no attraction)": {"alpha": 0.0, "attraction": False},
    "alpha 0": {"alpha": 0.0},
    "brute force": {},
}
FIGURES = ("test accuracy", "training accuracy", "coverage")


def main() -> None:
    """Print one line a variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    images, labels = load_digits(return_X_y=True)
    cut = int(len(images) * 0.8)
    train, test = (images[:cut], labels[:cut]), (images[cut:], labels[cut:])
    first: Array | None = None
    for name in options.variants:
        rows = []
        for seed in range(42, 42 + options.seeds):
            parents = halves(*train, seed)
            rows.append(one(name, parents, train, test, seed, options.passes))
        found = np.array(rows)
        first = found if first is None else first
        print(f"{name}:", flush=True)
        for figure, mine, wanted in zip(FIGURES, found.T, first.T, strict=True):
            line = f"  {figure} {mine.mean():.3f} (sd {mine.std(ddof=1):.3f})"
            if found is not first:
                line += f", {options.variants[0]} minus it {interval(wanted - mine)}"
            print(line, flush=True)


def one(
    name: str, parents: Array, train: Set, test: Set, seed: int, passes: int
) -> tuple[float, float, float]:
    """Return test and training accuracy and coverage of one search."""
    if name in ("published loop", "older leaves", "our draws"):
        return published(parents, train, test, seed, passes, name)
    if name == "brute force":
        return brute_force(parents, train, test)
    return run(parents, train, test, seed, passes, VARIANTS[name])


def interval(differences: Array) -> str:
    """Return the mean and its 95 % interval by bootstrap over seeds."""
    rng = np.random.default_rng(0)
    draws = rng.choice(differences, size=(10_000, len(differences))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{differences.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def brute_force(parents: Array, train: Set, test: Set) -> tuple[float, float, float]:
    """Return the figures of the global weight that is best in training, of a grid of 501."""
    best, best_model = np.zeros(0), parents[0]
    for weight in np.linspace(0, 1, 501):
        model = slerp(weight, parents.shape[1], parents[0], parents[1])
        solved = right(model, train)
        if not len(best) or solved.mean() > best.mean():
            best, best_model = solved, model
    return float(right(best_model, test).mean()), float(best.mean()), float(best.mean())


def network(parameters: Array, images: Array) -> Array:
    """Return the outputs, shape ``(n, 10)``."""
    parts = np.split(parameters.astype(np.float32), np.cumsum([64 * 256, 256, 2560]))
    hidden = np.maximum(images.astype(np.float32) @ parts[0].reshape(64, 256) + parts[1], 0)
    outputs: Array = hidden @ parts[2].reshape(256, 10) + parts[3]
    return outputs


def halves(images: Array, labels: NDArray[np.int64], seed: int) -> Array:
    """Return the parameters of both parents, shape ``(2, 19210)``."""
    found = []
    torch.manual_seed(seed)
    for mask in (labels < 5, labels >= 5):
        x = torch.tensor(images[mask], dtype=torch.float32)
        y = torch.tensor(labels[mask])
        parts = [(0.01 * torch.randn(shape)).requires_grad_() for shape in SHAPES.values()]
        adam = torch.optim.Adam(parts, lr=0.003)
        for _ in range(10):
            adam.zero_grad()
            hidden = torch.relu(x @ parts[0] + parts[1])
            torch.nn.functional.cross_entropy(hidden @ parts[2] + parts[3], y).backward()
            adam.step()
        found.append(torch.cat([part.detach().reshape(-1) for part in parts]).double().numpy())
    return np.array(found)


def published(
    parents: Array, train: Set, test: Set, seed: int, passes: int, name: str
) -> tuple[float, float, float]:
    """Return test and training accuracy and coverage of the published loop or a variant of it."""
    rng = np.random.default_rng(seed)
    archive = [np.zeros(parents.shape[1])] * 20
    scores = np.zeros((20, len(train[1])))

    def update(model: Array) -> None:
        nonlocal scores
        extended = np.concatenate([scores, right(model, train)[None]])
        total = extended.sum(axis=0)
        fitness = (extended / np.where(total > 0, total, 1)).sum(axis=1)
        worst = int(fitness.round(9).argmin())
        if name != "published loop":  # the newest is the last one
            archive.append(model)
            del archive[worst]
            scores = np.delete(extended, worst, axis=0)
        elif worst < len(scores):
            scores[worst], archive[worst] = extended[-1], model

    for parent in parents:
        update(parent)
    for step in range(1, passes + 1):
        if name == "our draws":
            rng = np.random.default_rng((seed, step))
        total = scores.sum(axis=0)
        shared = scores / np.where(total > 0, total, 1)
        fitness = shared.sum(axis=1)
        one = rng.choice(20, p=fitness / fitness.sum())
        match = np.maximum(0, shared - shared[one]).sum(axis=1)
        two = rng.choice(20, p=match / match.sum())
        split, weight = rng.integers(parents.shape[1]), rng.random()
        update(slerp(weight, int(split), archive[one], archive[two]))
    means = scores.mean(axis=1)
    best = archive[int(means.argmax())]
    return float(right(best, test).mean()), float(means.max()), coverage(scores)


def slerp(weight: float, split: int, x: Array, y: Array) -> Array:
    """Return the published crossover of two arrays."""
    t = np.where(np.arange(len(x)) < split, weight, 1 - weight)
    cosine = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
    angle = np.arccos(np.clip(cosine, -1, 1))
    if np.sin(angle) <= 1e-6:
        return np.asarray((1 - t) * x + t * y)
    return np.asarray((np.sin((1 - t) * angle) * x + np.sin(t * angle) * y) / np.sin(angle))


def right(parameters: Array, examples: Set) -> Array:
    """Return 1 for each example that a network solves, else 0."""
    images, labels = examples
    return (network(parameters, images).argmax(axis=1) == labels).astype(np.float64)


class Sums:
    """Inner products of the parents up to every index."""

    def __init__(self, parents: Array) -> None:
        pairs = np.einsum("in,jn->nij", parents, parents)
        self._sums = np.concatenate([np.zeros((1, 2, 2)), np.cumsum(pairs, axis=0)])

    def sums(self, chromosome: int) -> tuple[NDArray[np.int64], Array]:
        """Return all of them."""
        return np.arange(len(self._sums)), self._sums

    def between(self, chromosome: int, start: int, stop: int) -> Array:
        """Return nothing: there are no blocks."""
        raise AssertionError


def run(
    parents: Array,
    train: Set,
    test: Set,
    seed: int,
    passes: int,
    settings: dict[str, object],
) -> tuple[float, float, float]:
    """Return test and training accuracy and coverage at the end of one search."""
    facts = [TensorFacts(name, shape, "F64", None, "other") for name, shape in SHAPES.items()]
    space = SegmentSpace(SegmentSearch("s", ("low", "high"), "any", (), "s"), facts)
    space.products = Sums(parents)

    def parameters(genome: Array) -> Array:
        (part,) = space.unpack(genome)
        lengths = np.diff(part.ends, prepend=0)
        model: Array = (np.repeat(part.weights, lengths, axis=0) * parents.T).sum(axis=1)
        return model

    searcher = M2N2Searcher(space, seed=seed, archive=20, **settings)  # type: ignore[arg-type]
    done = 0
    while done < passes + 2:  # the authors don't count the parents
        proposals = searcher.ask()
        done += len(proposals)
        scored = [(p, right(parameters(p.genome), train)) for p in proposals]
        searcher.tell([Evaluation(p.id, (s.mean(),), examples=s) for p, s in scored])
    scores = np.stack([member.scores for member in searcher.members])
    means = scores.mean(axis=1)
    best = parameters(searcher.members[int(means.argmax())].genome)
    return float(right(best, test).mean()), float(means.max()), coverage(scores)


if __name__ == "__main__":
    main()
