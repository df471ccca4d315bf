"""What passes between a run and a searcher, and the registry of searchers. Never imports torch."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import ProblemsError, SearchError
from evomerge.recipes.declarations import Declaration, Parameter, Registry
from evomerge.recipes.space import SearchSpace
from evomerge.search.grid_archive import Axis
from evomerge.search.snapshots import Snapshot


@dataclass(frozen=True)
class Proposal:
    """A point that a searcher wants evaluated.

    Args:
        id: ``ASK-INDEX``; unique in a run.
        genome: Encoding in the unit cube, shape ``(d,)``, float64, already snapped to the space's
            grid (``space.snap``).
        origin: Where it comes from: the searcher's name, ``warm:LABEL`` for a warm start, or
            ``inject:LABEL`` for what was injected.
        parents: Ids of the proposals that it was made from; empty where that means nothing.
    """

    id: str
    genome: NDArray[np.float64]
    origin: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """The result of a proposal.

    Args:
        candidate_id: The proposal's id.
        values: One utility an objective, shape ``(k,)``; **larger is better** whatever the
            declared direction (the run turns minimised objectives round). None where it failed.
        error: Why it failed; empty where it did not.
        violation: By how much it misses the run's constraints, 0 or more; 0: it keeps them.
        examples: Utility of each example of the search split, shape ``(n,)``, in [0, 1], larger
            is better; in equal order for all candidates; NaN where an example has no score. Only
            for searchers with ``needs_examples``.
        measures: What the model is like, one number an axis, in the run file's order and units.
            Only for searchers with ``needs_measures``.
    """

    candidate_id: str
    values: tuple[float, ...] | None
    error: str = ""
    violation: float = 0.0
    examples: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)
    measures: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Start:
    """A genome that is evaluated before the searcher's own proposals.

    Args:
        label: What to call it.
        genome: Its encoding.
        kind: ``warm``: it is part of generation 0; ``inject``: a user has added it since.
    """

    label: str
    genome: NDArray[np.float64] = field(compare=False)
    kind: str = "warm"

    @property
    def origin(self) -> str:
        """Where its proposal comes from."""
        return f"{self.kind}:{self.label}"


class Searcher(Protocol):
    """Proposes candidates and learns from results.

    Equal seeds and equal tells (same order) give equal proposals; the global random state stays
    untouched. A
    generator is made for each (seed, ask number). A searcher is rebuilt by replaying its asks and
    tells.

    ``ask(n)`` may come at any moment and results in any order and grouping, early or late; each
    searcher's docstring says under "Late results" what it does with them.
    """

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return ``n`` proposals, or the next generation (None: of the searcher's own size).

        Fewer, down to [], when it's exhausted.
        """

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Take evaluations in any order, matched by id; a failure counts as worst.

        Raises:
            SearchError: An id that isn't waiting for a result.
        """


@runtime_checkable
class Restorable(Protocol):
    """A searcher whose state can be stored, so that a resume needn't replay all of it."""

    def snapshot(self) -> Snapshot:
        """Return the state as plain data and arrays."""

    def restore(self, snapshot: Snapshot) -> None:
        """Take the state of ``snapshot``, as if all of its asks and tells had been replayed.

        Only a searcher that was just built, with the same space and options, may be restored.

        Raises:
            SearchError: The snapshot can't be used.
        """


@runtime_checkable
class Archived(Protocol):
    """A searcher that keeps some of the candidates that it was told of, to make others of them."""

    def living(self) -> Sequence[str]:
        """Return the ids of the candidates that are kept."""


@runtime_checkable
class Injectable(Protocol):
    """A searcher that takes a genome from outside in the middle of its search."""

    def inject(self, start: Start) -> None:
        """Propose ``start`` at the next ask, and learn from it as from others.

        Raises:
            SearchError: It can't be proposed.
        """


def inject(searcher: object, start: Start) -> None:
    """Have ``searcher`` propose ``start`` at its next ask.

    Raises:
        SearchError: It takes nothing from outside, or not this.
    """
    if not isinstance(searcher, Injectable):
        raise SearchError(
            "this run's searcher takes no recipes from outside. Start a run from them instead: "
            "search.recipes."
        )
    searcher.inject(start)


def needs_examples(searcher: object) -> bool:
    """Say if a searcher, or a class of them, wants ``Evaluation.examples``."""
    return bool(getattr(searcher, "needs_examples", False))


def needs_measures(searcher: object) -> bool:
    """Say if a searcher, or a class of them, wants ``Evaluation.measures``.

    Such a class takes the argument ``measures``, the axes of its archive.
    """
    return bool(getattr(searcher, "needs_measures", False))


def placed(evaluation: Evaluation, searcher: str) -> tuple[float, ...] | None:
    """Return the measures of a scored candidate; None where one is NaN or infinite.

    Args:
        evaluation: Its result.
        searcher: Who needs them, for the message.

    Raises:
        SearchError: There are none at all.
    """
    measures = evaluation.measures
    if measures is None:
        raise SearchError(
            f"the result of {evaluation.candidate_id!r} has no measures, which {searcher} lives "
            "by. Give the run some under search.measures."
        )
    return measures if all(map(math.isfinite, measures)) else None


class SearcherFactory(Protocol):
    """A searcher's class as the registry sees it; ``options`` are its parameters."""

    def __call__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_objectives: int,
        starts: Sequence[Start],
        **options: Any,
    ) -> Searcher:
        """Build the searcher."""


SEARCHERS: Registry[SearcherFactory] = Registry(
    kind="searcher", package="evomerge.search", entry_point="evomerge.searchers"
)


def searcher(
    name: str,
    *,
    parameters: Sequence[Parameter] = (),
    paper: str = "",
    multi_objective: bool = False,
) -> Callable[[Any], Any]:
    """Register a class as the searcher ``name``; its docstring's first line is the summary."""

    def register(cls: Any) -> Any:
        summary = (cls.__doc__ or "").strip().splitlines()[0]
        SEARCHERS.add(
            Declaration(name, summary, tuple(parameters), paper, multi_objective=multi_objective),
            cls,
        )
        return cls

    return register


def build_searcher(
    name: str,
    space: SearchSpace,
    *,
    seed: int,
    n_objectives: int = 1,
    starts: Sequence[Start] = (),
    options: Mapping[str, Any] | None = None,
    measures: Sequence[Axis] = (),
    key: str = "search.options",
) -> Searcher:
    """Return the registered searcher ``name`` with checked ``options``.

    Args:
        name: Registered searcher.
        space: What is searched.
        seed: Equal seeds and equal tells give equal proposals.
        n_objectives: Number of objectives.
        starts: Genomes of generation 0.
        options: Settings of the searcher; declared defaults fill in.
        measures: Axes of the archive, for a searcher with ``needs_measures``.
        key: Where the options stand, for messages.

    Raises:
        PluginError: No such searcher.
        ProblemsError: Options that the searcher refuses, all at once.
        SearchError: Several objectives for a searcher of one.
    """
    plugin = SEARCHERS.get(name)
    given = dict(options or {})
    if problems := plugin.declaration.check_options(given, key):
        raise ProblemsError("", problems)
    axes = {"measures": tuple(measures)} if needs_measures(plugin.value) else {}
    return plugin.value(
        space,
        seed=seed,
        n_objectives=n_objectives,
        starts=starts,
        **axes,
        **plugin.declaration.fill(given),
    )
