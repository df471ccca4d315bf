"""Compare searchers of several objectives on problems whose fronts are known.

Run: OMP_NUM_THREADS=1 python benchmarks/multi_objective.py [--searchers nsga2 motpe] [--seeds 5]

ZDT1, ZDT2 and ZDT3 (Zitzler, Deb and Thiele 2000) and DTLZ2 with three objectives (Deb et al. 2002)
in ``--genes`` genes. Printed is the hypervolume of all that was evaluated, as a share of the true
front's, seen from 1.1 in each objective: mean and standard deviation over seeds, and for the other
ways their mean minus that of ``ours`` with its 95 % interval. ``direct`` is the library with the
same settings and generations and a random generator of its own, without us in between: Optuna, or
DEAP (``pip install deap``) for ``mo_cma_es``, whose code here is ours. ``same`` is Optuna with the
random numbers that we give it; it must get to the same candidates. ``late`` asks for one candidate
at a time and hears of it when seven others have been asked for since. ``motpe`` has a smaller
budget than the others.

``--front`` measures instead how long the front of 100,000 points takes, in CPU milliseconds.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.recipes.space import Gene, SearchSpace
from evomerge.search.fronts import FrontArchive, hypervolume, non_dominated
from evomerge.search.nsga import _operators, divisions
from evomerge.search.protocol import Evaluation, Searcher, build_searcher
from evomerge.search.scalarise import ScalarisedSearcher

Array = NDArray[np.float64]
REFERENCE = 1.1
SEARCHERS = ("nsga2", "nsga3", "mo_cma_es", "motpe", "cma_es", "random")
BUDGETS = {"motpe": 160}
WAYS = ("ours", "late", "direct", "same")
LIBRARIES = {"nsga2": "optuna", "nsga3": "optuna", "motpe": "optuna", "mo_cma_es": "deap"}
OUT = 8


@dataclass(frozen=True)
class Problem:
    """Losses of a point of the cube, and points of the true front, shape ``(m, k)``."""

    name: str
    losses: Callable[[Array], tuple[float, ...]]
    front: Array

    @property
    def k(self) -> int:
        """Number of objectives."""
        return int(self.front.shape[1])

    def share(self, losses: Array) -> float:
        """Return the hypervolume of ``losses`` over the true front's."""
        lowest = np.full(self.k, -REFERENCE)
        return hypervolume(-losses, lowest).value / hypervolume(-self.front, lowest).value


def _zdt(name: str, shape: Callable[[Any, Any], Any]) -> Problem:
    """Return a problem of the ZDT family: x0, and g · shape(x0, g)."""

    def losses(x: Array) -> tuple[float, ...]:
        g = 1 + 9 * float(x[1:].mean())
        return float(x[0]), g * float(shape(x[0], g))

    x0 = np.linspace(0, 1, 20_001)
    front = np.stack([x0, shape(x0, 1.0)], axis=1)
    return Problem(name, losses, front[non_dominated(-front)])


def _dtlz2() -> Problem:
    def losses(x: Array) -> tuple[float, ...]:
        g = 1 + float(((x[2:] - 0.5) ** 2).sum())
        a, b = x[0] * np.pi / 2, x[1] * np.pi / 2
        return g * np.cos(a) * np.cos(b), g * np.cos(a) * np.sin(b), g * np.sin(a)

    grid = np.linspace(0, np.pi / 2, 300)
    a, b = (angle.ravel() for angle in np.meshgrid(grid, grid))
    front = np.stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)], axis=1)
    return Problem("DTLZ2", losses, front)


PROBLEMS = (
    _zdt("ZDT1", lambda x, g: 1 - np.sqrt(x / g)),
    _zdt("ZDT2", lambda x, g: 1 - (x / g) ** 2),
    _zdt("ZDT3", lambda x, g: 1 - np.sqrt(x / g) - x / g * np.sin(10 * np.pi * x)),
    _dtlz2(),
)


def build(name: str, problem: Problem, n_genes: int, seed: int) -> Searcher:
    """Return a searcher with its own settings; one of one objective gets a Chebyshev distance."""
    space = SearchSpace([Gene(f"g{index}", "float") for index in range(n_genes)])
    if name != "cma_es":
        return build_searcher(name, space, seed=seed, n_objectives=problem.k)
    inner = build_searcher(name, space, seed=seed)
    return ScalarisedSearcher(inner, kind="chebyshev", weights=[1.0] * problem.k)


def searched(problem: Problem, searcher: Searcher, budget: int, *, late: bool) -> float:
    """Return the share of the front's volume after ``budget`` candidates."""
    losses: list[tuple[float, ...]] = []
    out: list[Evaluation] = []
    while len(losses) < budget:
        for proposal in searcher.ask(1 if late else None):
            losses.append(problem.losses(proposal.genome))
            out.append(Evaluation(proposal.id, tuple(-value for value in losses[-1])))
        done = max(len(out) - (OUT - 1 if late else 0), 0)
        searcher.tell(out[:done])
        out = out[done:]
    return problem.share(np.array(losses[:budget]))


def direct(name: str, problem: Problem, n_genes: int, budget: int, seed: int) -> float:
    """Return the share that Optuna alone reaches, with a generator of its own."""
    study = alone(name, problem, n_genes, budget, [_sampler(name, problem, seed)], snap=False)
    return problem.share(study)


def same(name: str, problem: Problem, n_genes: int, budget: int, seed: int) -> float:
    """Return the share that Optuna alone reaches, with the numbers that our searcher draws."""
    words = [
        np.random.SeedSequence((seed, ask, 1)).generate_state(1)[0]
        for ask in range(budget // _batch(name) + 1)
    ]
    samplers = [_sampler(name, problem, int(word)) for word in words]
    return problem.share(alone(name, problem, n_genes, budget, samplers, snap=True))


def _batch(name: str) -> int:
    return 16 if name == "motpe" else 20


def _sampler(name: str, problem: Problem, seed: int) -> Any:
    """Return Optuna's sampler with the settings that our searcher gives it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    if name == "motpe":
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    settings = _operators("sbx", 0.9, None, 20.0)
    kind: Any = optuna.samplers.NSGAIISampler
    if name == "nsga3":
        kind = optuna.samplers.NSGAIIISampler
        settings["dividing_parameter"] = divisions(problem.k, 20)
    return kind(seed=seed, population_size=20, **settings)


def alone(
    name: str, problem: Problem, n_genes: int, budget: int, samplers: Sequence[Any], *, snap: bool
) -> Array:
    """Return the losses of what Optuna proposes, one sampler an ask; the last one goes on.

    Args:
        name: Our searcher.
        problem: Gives losses.
        n_genes: Length of a point.
        budget: Candidates.
        samplers: For each ask.
        snap: Score points as rounded as recipes are.
    """
    import optuna

    study = optuna.create_study(directions=["minimize"] * problem.k, sampler=samplers[0])
    cube: dict[str, Any] = {
        f"g{i}": optuna.distributions.FloatDistribution(0, 1) for i in range(n_genes)
    }
    space = SearchSpace([Gene(name, "float") for name in cube])
    batch = _batch(name)
    for ask, start in enumerate(range(0, budget, batch)):
        study.sampler = samplers[min(ask, len(samplers) - 1)]
        trials = [study.ask(cube) for _ in range(min(batch, budget - start))]
        for trial in trials:
            point = np.array([trial.params[gene] for gene in cube])
            study.tell(trial, problem.losses(space.snap(point[None])[0] if snap else point))
    return np.array([trial.values for trial in study.get_trials(deepcopy=False)])


def deap_alone(problem: Problem, n_genes: int, budget: int, seed: int) -> float:
    """Return the share that DEAP's MO-CMA-ES reaches; points are clipped to the cube as ours."""
    from deap import base, cma, creator

    if not hasattr(creator, "Point"):
        creator.create("Losses", base.Fitness, weights=(-1.0, -1.0))
        creator.create("Point", list, fitness=creator.Losses)
    creator.Losses.weights = (-1.0,) * problem.k
    np.random.seed(seed)  # noqa: NPY002  what DEAP draws from
    found: list[tuple[float, ...]] = []

    def score(point: Any) -> None:
        found.append(problem.losses(np.clip(np.array(point), 0.0, 1.0)))
        point.fitness.values = found[-1]

    members = [creator.Point(row) for row in np.random.rand(12, n_genes)]  # noqa: NPY002
    for point in members:
        score(point)
    strategy = cma.StrategyMultiObjective(members, sigma=0.1, mu=12, lambda_=12)
    while len(found) < budget:
        children = strategy.generate(creator.Point)
        for child in children:
            child[:] = np.clip(child, 0.0, 1.0).tolist()
            score(child)
        strategy.update(children)
    return problem.share(np.array(found[:budget]))


def reached(name: str, way: str, problem: Problem, chosen: argparse.Namespace, seed: int) -> float:
    """Return the share that one search reaches."""
    budget = min(chosen.budget, BUDGETS.get(name, chosen.budget))
    if way == "direct" and LIBRARIES[name] == "deap":
        return deap_alone(problem, chosen.genes, budget, seed)
    if way in ("direct", "same"):
        by = direct if way == "direct" else same
        return by(name, problem, chosen.genes, budget, seed)
    searcher = build(name, problem, chosen.genes, seed)
    return searched(problem, searcher, budget, late=way == "late")


def difference(found: Sequence[float], ours: Sequence[float]) -> str:
    """Return the mean of ``found`` minus that of ``ours``, with its 95 % interval."""
    middle = statistics.mean(found) - statistics.mean(ours)
    error = (statistics.variance(found) + statistics.variance(ours)) / len(ours)
    return f" ({middle:+.3f} ± {1.96 * error**0.5:.3f})"


def compare(chosen: argparse.Namespace) -> None:
    """Print one line a searcher and way of asking."""
    problems = [problem for problem in PROBLEMS if problem.name in chosen.problems]
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    print(f"{'searcher':10} {'way':8}  " + "  ".join(f"{p.name:>31}" for p in problems))
    for name in chosen.searchers:
        ours: dict[str, list[float]] = {}
        for way in (way for way in chosen.ways if _has(name, way)):
            cells = []
            for problem in problems:
                found = [reached(name, way, problem, chosen, seed) for seed in seeds]
                cell = f"{statistics.mean(found):.3f} ± {statistics.stdev(found):.3f}"
                if way == "ours":
                    ours[problem.name] = found
                elif ours:
                    cell += difference(found, ours[problem.name])
                cells.append(cell)
            print(f"{name:10} {way:8}  " + "  ".join(f"{c:>31}" for c in cells), flush=True)


def _has(name: str, way: str) -> bool:
    """Say if a searcher can be asked in this way."""
    library = LIBRARIES.get(name)
    return way in ("ours", "late") or library == "optuna" or (way == "direct" and bool(library))


def time_fronts() -> None:
    """Print how long fronts of 100,000 points of three objectives take."""
    rng = np.random.default_rng(0)
    uniform = rng.random((100_000, 3))
    ball = np.abs(rng.standard_normal((100_000, 3)))
    sphere = ball / np.linalg.norm(ball, axis=1, keepdims=True)
    for name, points in (("in a cube", uniform), ("all on the front", sphere)):
        times = []
        n = int(non_dominated(points).sum())
        for _ in range(7):
            began = time.process_time()
            non_dominated(points)
            times.append(time.process_time() - began)
        print(f"front of 100,000 {name} ({n}): {1e3 * statistics.median(times):.0f} ms")
    archive: FrontArchive[int] = FrontArchive()
    began = time.process_time()
    for index, point in enumerate(uniform):
        archive.add(point, index)
    each = (time.process_time() - began) / len(uniform)
    print(f"one more point, in a cube ({len(archive)} on the front): {1e3 * each:.3f} ms")


def main() -> None:
    """Parse the options and run what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--searchers", nargs="+", default=list(SEARCHERS), choices=SEARCHERS)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    names = [problem.name for problem in PROBLEMS]
    parser.add_argument("--problems", nargs="+", default=names, choices=names)
    parser.add_argument("--genes", type=int, default=5)
    parser.add_argument("--budget", type=int, default=600)
    parser.add_argument("--front", action="store_true")
    chosen = parser.parse_args()
    if chosen.front:
        time_fronts()
    else:
        compare(chosen)


if __name__ == "__main__":
    main()
