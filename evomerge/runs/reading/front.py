"""The front of a run: its entries, and which of them stand out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from evomerge.errors import EvaluationError, LedgerError, nearest
from evomerge.evaluation.intervals import Estimate
from evomerge.runs.ledger.records import Estimates
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.objectives import (
    RECIPE_NUMBERS,
    Objectives,
    parse_constraint,
)
from evomerge.runs.ranking import Utilities
from evomerge.runs.reading.covered import Hypervolume
from evomerge.runs.reading.remarks import Remark
from evomerge.search.fronts import knee
from evomerge.search.scalarise import scalarise

KNEE, MIDDLE, PREFERRED, SCALARISED = "knee", "middle", "preferred", "scalarised"


@dataclass(frozen=True)
class Wishes:
    """What a user wants of a front.

    Args:
        prefer: Objective → how much it matters; 0 for those that are left out.
        where: Bounds that a candidate must keep, ``NAME >= NUMBER`` or ``NAME <= NUMBER``.
    """

    prefer: Mapping[str, float] = field(default_factory=dict)
    where: Sequence[str] = ()


NONE = Wishes()
"""Nothing in particular."""


@dataclass(frozen=True)
class Sureness:
    """What resampled scores say of a front; empty where that wasn't asked for.

    Args:
        on_front: Candidate → share of draws in which nothing dominates it.
        knee: Candidate → share of draws in which it is the knee.
    """

    on_front: Mapping[str, float] = field(default_factory=dict)
    knee: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FrontEntry:
    """One candidate of the front.

    Args:
        candidate: Its id.
        recipe_hash: Its recipe.
        objectives: Objective → estimate on the front's split, raw.
        device_s: Device-seconds of all its attempts.
        marks: Why it stands out: ``knee`` (or ``middle``, where the front has none), ``best NAME``,
            ``preferred``, ``scalarised`` (best by the number that was searched).
        equal: How many others of the front have the same values.
        p_front: Share of resamples in which nothing dominates it; None where that wasn't asked for.
        p_knee: Share of resamples in which it is the knee, or what stands for it; None likewise,
            and with one objective.
        scores: Split → objective → estimate, of search and validation as far as it is scored.
        remark: What users have said of it; None for nothing.
    """

    candidate: str
    recipe_hash: str
    objectives: Mapping[str, Estimate]
    device_s: float = 0.0
    marks: tuple[str, ...] = ()
    equal: int = 0
    p_front: float | None = None
    p_knee: float | None = None
    scores: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    remark: Remark | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as plain data, raw values in the declared directions."""
        return {
            "candidate": self.candidate,
            "recipe_hash": self.recipe_hash,
            "objectives": _plain(self.objectives),
            "device_s": self.device_s,
            "marks": list(self.marks),
            "equal": self.equal,
            "p_front": self.p_front,
            "p_knee": self.p_knee,
            "scores": {split: _plain(found) for split, found in self.scores.items()},
            "remark": asdict(self.remark or Remark(self.candidate)),
        }


@dataclass(frozen=True)
class Front:
    """The Pareto front, or the best candidate where there is one objective.

    Args:
        entries: Best first, by the first objective.
        split: ``search`` until the run is final, then ``validation``.
        final: The budget is spent and the finalists are re-scored.
        hypervolume: What the entries cover together; None where the run has no hypervolume.
    """

    entries: tuple[FrontEntry, ...]
    split: str
    final: bool
    hypervolume: Hypervolume | None = None

    @property
    def best(self) -> FrontEntry | None:
        """The knee, or what stands for it; the best where there is one objective."""
        chosen = [item for item in self.entries if {KNEE, MIDDLE} & set(item.marks)]
        return next(iter([*chosen, *self.entries]), None)

    @property
    def chosen(self) -> tuple[FrontEntry, ...]:
        """The marked entries; the best where there is one objective."""
        marked = tuple(item for item in self.entries if item.marks)
        return marked or self.entries[:1]

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"front": [{"candidate", "objectives", "marks", …}, …], "hypervolume": …}``."""
        covered = self.hypervolume
        return {
            "front": [entry.to_dict() for entry in self.entries],
            "hypervolume": None if covered is None else asdict(covered),
        }


def marks_of(
    objectives: Objectives, utilities: Utilities, wishes: Wishes
) -> dict[str, tuple[str, ...]]:
    """Return candidate → its marks, for the candidates of a front.

    ``preferred`` is the one whose weighted distance to the best of any objective is smallest, each
    in units of the front's range (augmented Chebyshev), so that hollow parts count too.

    Args:
        objectives: The run's.
        utilities: The front's, best first by the first objective.
        wishes: What is preferred.

    Raises:
        EvaluationError: A preference of no objective, or below 0.
    """
    weights = _weights(objectives, wishes.prefer)
    if not utilities:
        return {}
    names = list(utilities)
    values = np.array([utilities[name] for name in names])
    found: dict[str, list[str]] = {name: [] for name in names}
    if len(objectives.all) > 1:
        bend = knee(values)
        found[names[bend.index]].append(KNEE if bend.pronounced else MIDDLE)
        for place, item in enumerate(objectives.all):
            found[names[int(values[:, place].argmax())]].append(f"best {item.name}")
    if weights is not None:
        ranges = np.ptp(values, axis=0)
        ranges[ranges == 0] = 1.0
        merit = scalarise(values, "chebyshev", weights, values.max(axis=0), ranges)
        found[names[int(merit.argmax())]].append(PREFERRED)
    return {name: tuple(marks) for name, marks in found.items()}


def equals_of(utilities: Utilities) -> dict[str, int]:
    """Return candidate → how many others have equal values."""
    counts = Counter(utilities.values())
    return {name: counts[value] - 1 for name, value in utilities.items()}


def kept(row: RunRow, scored: Mapping[str, Estimates], where: Sequence[str]) -> list[str]:
    """Return the candidates that keep all of ``where``, in the order of ``scored``.

    Args:
        row: The run.
        scored: Candidate → estimates.
        where: Bounds.

    Raises:
        EvaluationError: A bound that isn't one, or of nothing that was measured.
        LedgerError: No candidate keeps them; the nearest is named.
    """
    for text in where:
        _check_bound(text, row)
    bounds = Objectives.from_plain(row.config["objectives"], row.tasks, where).constraints
    for bound in bounds:
        if any(part not in found for found in scored.values() for part in bound.number.parts):
            raise EvaluationError(
                f"--where: {bound.number.name!r} wasn't measured in this run, since no objective "
                "needs it. Bound another number, or begin a run with it as a constraint."
            )
    missed = {
        name: sum(bound.violation(estimates) for bound in bounds)
        for name, estimates in scored.items()
    }
    found = [name for name, violation in missed.items() if violation == 0]
    if scored and not found:
        name = min(missed, key=lambda name: missed[name])
        values = ", ".join(f"{b.number.name} {b.number.value(scored[name]):.6g}" for b in bounds)
        raise LedgerError(
            f"none of {len(scored)} candidates keeps {' and '.join(where)}. {name} is nearest, "
            f"with {values}. Loosen --where."
        )
    return found


def _check_bound(text: str, row: RunRow) -> None:
    """Check that ``text`` is a bound of something that the run knows."""
    try:
        name, _, _ = parse_constraint(text)
    except EvaluationError as error:
        raise EvaluationError(f"--where: {error}") from None
    metrics = {f"{task}.{m['name']}" for task, facts in row.tasks.items() for m in facts["metrics"]}
    known = {*row.config["objectives"], *row.tasks, *metrics, *RECIPE_NUMBERS}
    if name not in known:
        raise EvaluationError(f"--where: nothing is called {name!r}; {nearest(name, known)}")


def _weights(objectives: Objectives, prefer: Mapping[str, float]) -> list[float] | None:
    if not prefer:
        return None
    names = [item.name for item in objectives.all]
    for name, weight in prefer.items():
        if name not in names:
            raise EvaluationError(
                f"--prefer: no objective is called {name!r}; {nearest(name, names)}"
            )
        if not 0 <= weight < float("inf"):
            raise EvaluationError(f"--prefer: got {name}={weight:g}, expected 0 or more.")
    if not any(prefer.values()):
        raise EvaluationError("--prefer: got 0 for every objective. Give one more than 0.")
    return [prefer.get(name, 0.0) for name in names]


def _plain(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: vars(estimate) for name, estimate in estimates.items()}
