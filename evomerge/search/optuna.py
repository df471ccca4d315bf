"""The Optuna searcher: any of its samplers by name, in memory, rebuilt by replay.

Each ask gets a freshly seeded sampler, so that proposals depend on the seed, the ask's number and
the results only. Coordinates of the unit cube are Optuna's parameters: cells as whole numbers,
choices as categories, conditional genes asked for only where they count.
"""

import inspect
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError, nearest
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.genes import Gene
from evomerge.recipes.space import SearchSpace
from evomerge.search.asks import AskBook, Told, need_cube, prior_means, seeded_globals
from evomerge.search.protocol import Evaluation, Proposal, Start, searcher
from evomerge.search.snapshots import Snapshot, put_back, take_snapshot
from evomerge.search.studies import (
    best_first,
    fill_study,
    generation_of,
    moved_to,
    set_violation,
    show_defaults,
    study_to_plain,
)

SAMPLERS = (
    "GPSampler",
    "NSGAIIISampler",
    "NSGAIISampler",
    "QMCSampler",
    "RandomSampler",
    "TPESampler",
)
REFUSED = {
    "CmaEsSampler": "use the searcher cma_es, which resumes exactly",
    "GridSampler": "use the searcher grid",
    "BruteForceSampler": "use the searcher grid",
    "PartialFixedSampler": "fix the value in the recipe instead of searching it",
}
CELLS = 1000
"""Values up to which a gene on cells is a whole number for Optuna."""
TRIES = 3
"""Draws after which a copy of an earlier proposal is proposed again; a draw may cost 0.1 s."""
STATE = ("_book", "_failed", "_generation", "_stored", "_told", "_trials", "_worst")


@searcher(
    "optuna",
    parameters=[
        Parameter(
            "sampler",
            "str",
            f"One of {', '.join(SAMPLERS)}; TPE alone will do.",
            default="TPESampler",
        ),
        Parameter("population", "int", "Candidates per generation.", default=16, low=1),
        Parameter(
            "window",
            "int",
            "Trials that TPE and GP learn from: half the best, half the latest.",
            default=1000,
            low=50,
        ),
        Parameter("settings", "mapping", "Keyword arguments of the sampler.", default={}),
    ],
    paper="arXiv:1907.10902",
    multi_objective=True,
)
class OptunaSearcher:
    """Let a sampler of Optuna propose (TPE, Gaussian process, NSGA-II, NSGA-III, Sobol).

    Without starts, the first trial stands where genes' priors say. Genes that don't count in a
    trial aren't asked for; where that hangs on several others (a route's scales), Optuna is shown
    their defaults, so that what was drawn for them teaches nothing.

    TPE is multivariate unless ``settings`` says otherwise. Failures get the worst utility seen, as
    soon as there is one.

    Late results: Optuna hears of all that came back since the last ask, in the order of ids. TPE
    counts running trials as bad ones (``constant_liar``) and the Gaussian process imagines results
    for them, so neither proposes near-copies of what is running; the window keeps running trials.
    NSGA's generation is full once so many results are back; a late result of an earlier generation
    joins the present one, so that it can still become a parent. ``ask(n)`` draws again, up to three
    times, what was proposed before, in spaces of whole numbers, steps and choices.

    Args:
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Number ``k`` of objectives.
        starts: Genomes of generation 0.
        sampler: Optuna's name of the sampler.
        population: Candidates per generation; NSGA's population size too.
        window: (TPE, GP) most trials that are kept.
        settings: Keyword arguments of the sampler.
        name: The searcher's name, for its proposals.

    Raises:
        SearchError: A space of paths, a sampler that is refused, or settings that it doesn't take.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int = 1,
        starts: Sequence[Start] = (),
        sampler: str = "TPESampler",
        population: int = 16,
        window: int = 1000,
        settings: Mapping[str, Any] | None = None,
        name: str = "optuna",
    ) -> None:
        need_cube(name, space)
        self._book = AskBook(name, space, seed=seed, starts=starts)
        self._begins_at_priors = not starts and any(g.prior is not None for g in space.genes)
        self._population = population
        self._n_objectives = n_objectives
        self._window = window
        self._sampler_name = sampler if sampler.endswith("Sampler") else f"{sampler}Sampler"
        self._settings = dict(settings or {})
        self._check_sampler()
        self._distributions = {g.name: _distribution(g) for g in space.genes}
        self._study = self._new_study()
        self._trials: dict[tuple[int, int], int] = {}
        self._told: list[Told] = []
        self._failed: list[Told] = []
        self._worst: tuple[float, ...] | None = None
        self._generation = 0
        self._stored: dict[str, Any] = {}

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return ``n`` proposals: starts that are left, then the sampler's."""
        size = self._book.size(n, self._population)
        starts = self._book.take_starts(size)
        space, asked = self._book.space, self._book.asked
        with seeded_globals(self._book.seed, asked), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._absorb()
            self._study.sampler = self._sampler()
            rows = []
            for index in range(size):
                if index < len(starts):
                    rows.append(self._trial((asked, index), starts[index].genome))
                elif self._begins_at_priors and asked == index == 0:
                    rows.append(self._trial((0, 0), prior_means(space)))
                else:
                    rows.append(self._draw((asked, index), rows if n is not None else None))
        points = np.array(rows[len(starts) :]).reshape(-1, space.n_dims)
        return self._book.propose(points, starts=starts)

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order; Optuna hears of them at the next ask, in order of ids."""
        self._told += self._book.take(evaluations)

    def inject(self, start: Start) -> None:
        """Propose ``start`` at the next ask."""
        self._book.add_start(start)

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""
        self._stored = study_to_plain(self._study)
        return take_snapshot(self, STATE)

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of a snapshot."""
        put_back(self, snapshot)
        self._study = self._new_study()
        fill_study(self._study, self._stored, self._distributions)
        self._stored = {}

    def _check_sampler(self) -> None:
        if reason := REFUSED.get(self._sampler_name):
            raise SearchError(f"optuna's {self._sampler_name} isn't offered here: {reason}.")
        if self._sampler_name not in SAMPLERS:
            raise SearchError(
                f"no sampler is called {self._sampler_name.removesuffix('Sampler')!r}; "
                f"{nearest(self._sampler_name, SAMPLERS)}"
            )
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        known = inspect.signature(getattr(optuna.samplers, self._sampler_name)).parameters
        for name in self._settings:
            if name not in known or name == "seed":
                raise SearchError(
                    f"search.options.settings.{name}: {self._sampler_name} takes no such setting; "
                    f"{nearest(name, [k for k in known if k != 'seed'])}"
                )
        try:
            self._sampler()
        except (TypeError, ValueError) as error:
            raise SearchError(f"search.options.settings: {error}") from error

    def _sampler(self) -> Any:
        """Return the sampler, seeded for this ask; a QMC sequence keeps its one scrambling."""
        import optuna

        settings = dict(self._settings)
        words = (self._book.seed, self._book.asked, 1)
        if self._sampler_name == "TPESampler":
            settings.setdefault("multivariate", True)
            conditional = any(g.active_if is not None for g in self._book.space.genes)
            settings.setdefault("group", bool(conditional and settings["multivariate"]))
            settings.setdefault("constant_liar", True)
        if self._sampler_name.startswith("NSGA"):
            settings.setdefault("population_size", max(self._population, 2))
        if self._sampler_name == "QMCSampler":
            settings.setdefault("scramble", True)
            words = (self._book.seed, 0, 1)
        seed = int(np.random.SeedSequence(words).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # experimental features say so each time
            return getattr(optuna.samplers, self._sampler_name)(seed=seed, **settings)

    def _new_study(self) -> Any:
        import optuna

        return optuna.create_study(
            storage=optuna.storages.InMemoryStorage(),
            # NSGA-III normalises as if all were minimised, whatever a study's directions say.
            directions=["minimize"] * self._n_objectives,
        )

    def _draw(
        self, key: tuple[int, int], before: Sequence[NDArray[np.float64]] | None
    ) -> NDArray[np.float64]:
        """Make a trial that is no copy of an earlier proposal or of ``before`` (None: any)."""
        import optuna

        point: NDArray[np.float64] = self._trial(key, None)
        for _ in range(0 if before is None else TRIES):
            genome = self._book.space.snap(point)
            if not self._book.is_copy(genome, before or ()):
                break
            self._study.tell(self._trials.pop(key), state=optuna.trial.TrialState.FAIL)
            point = self._trial(key, None)
        return point

    def _trial(self, key: tuple[int, int], start: NDArray[np.float64] | None) -> Any:
        """Make one trial and return its point of the cube, shape ``(d,)``."""
        space = self._book.space
        if start is not None:
            active = space.active(start)
            fixed = {
                gene.name: _parameter(gene, float(start[i]))
                for i, gene in enumerate(space.genes)
                if active[i]
            }
            self._study.enqueue_trial(fixed)
        always = {g.name: self._distributions[g.name] for g in space.genes if g.active_if is None}
        trial = self._study.ask(fixed_distributions=always)
        point = np.empty(space.n_dims)
        values: dict[str, Any] = {}
        for index, gene in enumerate(space.genes):
            if not _counts(gene, values):
                point[index] = 0.5
                continue
            point[index] = _place(gene, trial._suggest(gene.name, self._distributions[gene.name]))
            values[gene.name] = gene.python(float(gene.values(point[index : index + 1])[0]))
        self._trials[key] = trial.number
        if space.activity is not None:
            show_defaults(trial, self._hidden(point))
        if self._sampler_name.startswith("NSGA"):
            frozen = self._study.get_trials(deepcopy=False)[trial.number]
            self._generation = max(self._generation, generation_of(frozen, self._sampler_name))
        return point

    def _hidden(self, point: NDArray[np.float64]) -> dict[str, Any]:
        """Return Optuna's values of the defaults of genes that a trial has and that don't count."""
        space = self._book.space
        settled = space.snap(point)
        counts = space.active(settled)
        return {
            gene.name: _parameter(gene, float(settled[i]))
            for i, gene in enumerate(space.genes)
            if not counts[i]
        }

    def _absorb(self) -> None:
        """Hand to Optuna what has come back since the last ask."""
        for told in sorted(self._told, key=lambda t: (t.ask, t.index)):
            if told.values is None:
                self._failed.append(told)
                continue
            self._worst = tuple(map(min, self._worst or told.values, told.values))
            self._enter(told, told.values)
        self._told = []
        if self._worst is not None:
            for told in self._failed:
                self._enter(told, self._worst)
            self._failed = []
        bounded = self._sampler_name in ("TPESampler", "GPSampler")
        if bounded and len(self._study.get_trials(deepcopy=False)) >= 2 * self._window:
            self._shrink()

    def _enter(self, told: Told, values: tuple[float, ...]) -> None:
        """Finish a trial with the losses that belong to utilities ``values``."""
        import optuna

        number = self._trials.pop((told.ask, told.index))
        losses = [-value for value in values]
        if told.violation:
            set_violation(self._study, number, told.violation)
        trial = self._study.get_trials(deepcopy=False)[number]
        if not -1 < generation_of(trial, self._sampler_name) < self._generation:
            self._study.tell(number, losses)
            return
        late = moved_to(trial, losses, self._sampler_name, self._generation)
        self._study.tell(number, state=optuna.trial.TrialState.FAIL)
        self._study.add_trial(late)

    def _shrink(self) -> None:
        """Keep the best half and the latest half of a window in a new study."""
        import optuna

        old, state = self._study, optuna.trial.TrialState
        done = old.get_trials(deepcopy=False, states=(state.COMPLETE,))
        half = self._window // 2
        best = best_first(done)[:half]
        keep = {t.number for t in best} | {t.number for t in done[-half:]}
        self._study = self._new_study()
        self._study.add_trials([t for t in done if t.number in keep])
        for key, number in self._trials.items():
            self._trials[key] = len(self._study.get_trials(deepcopy=False))
            self._study.add_trial(old.get_trials(deepcopy=False)[number])


def _counts(gene: Gene, values: Mapping[str, Any]) -> bool:
    """Tell whether ``gene`` is active, given the values of the active genes before it."""
    if gene.active_if is None:
        return True
    switch, wanted = gene.active_if
    return switch in values and values[switch] in wanted


def _is_whole(gene: Gene) -> bool:
    return gene.kind != "categorical" and 0 < gene.n_values <= CELLS


def _distribution(gene: Gene) -> Any:
    """Return Optuna's distribution of a gene's place."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if gene.kind == "categorical":
        return CategoricalDistribution(tuple(range(gene.n_values)))
    if _is_whole(gene):
        return IntDistribution(0, gene.n_values - 1)
    return FloatDistribution(0.0, 1.0)


def _parameter(gene: Gene, place: float) -> Any:
    """Return Optuna's value for a gene at ``place`` in [0, 1]."""
    if gene.kind == "categorical" or _is_whole(gene):
        return min(int(place * gene.n_values), gene.n_values - 1)
    return min(max(place, 0.0), 1.0)


def _place(gene: Gene, parameter: Any) -> float:
    if gene.kind == "categorical" or _is_whole(gene):
        return (int(parameter) + 0.5) / gene.n_values
    return float(parameter)
