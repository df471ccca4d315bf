"""Rebuilds a searcher from the ledger: the same asks and tells, in the stored order, checked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import LedgerError
from evomerge.recipes.space import SearchSpace
from evomerge.runs.driver.injections import start_of
from evomerge.runs.ledger.rows import CandidateRow, DecisionRow
from evomerge.search.protocol import Evaluation, Proposal, Searcher, inject

ExamplesOf = Callable[[str], NDArray[np.float64]]
"""Candidate id → utilities of its examples, shape ``(n,)``, in [0, 1]."""

MeasuresOf = Callable[[str], tuple[float, ...]]
"""Candidate id → its measures."""

REPLAYED = ("ask", "tell", "inject")
"""Decisions that a searcher has lived; of what was injected those that weren't refused."""


def replay(
    searcher: Searcher,
    space: SearchSpace,
    decisions: Sequence[DecisionRow],
    candidates: Mapping[str, CandidateRow],
    *,
    versions_then: Mapping[str, str],
    versions_now: Mapping[str, str],
    recall: Callable[[Sequence[DecisionRow]], int] = lambda decisions: 0,
    examples_of: ExamplesOf | None = None,
    measures_of: MeasuresOf | None = None,
) -> None:
    """Bring a fresh ``searcher`` to where the ledger says it was.

    The first ask is always replayed, so that a searcher that proposes something else is found
    even where a stored state then covers the rest.

    Args:
        searcher: Just built, with the seed, options and starts of the run.
        space: The run's space.
        decisions: The run's decisions in order; only asks, tells and what was injected are looked
            at.
        candidates: Id → stored candidate.
        versions_then: Package versions when the run was started.
        versions_now: Package versions now.
        recall: Gives the searcher a stored state and returns how many decisions that covers.
        examples_of: Gives the utilities of a candidate's examples; None where none are wanted.
        measures_of: Gives a candidate's measures; None where none are wanted.

    Raises:
        LedgerError: The searcher proposes something else than what is stored.
    """
    covered = 0
    first = next((i for i, decision in enumerate(decisions) if decision.kind == "ask"), 0)
    for index, decision in enumerate(decisions):
        if index == first + 1:
            covered = recall(decisions)
        if index < covered:
            continue
        if decision.kind == "ask":
            stored = [candidates[name] for name in decision.body["candidates"]]
            difference = _difference(space, searcher.ask(decision.body.get("n")), stored)
            if difference:
                raise LedgerError(
                    f"the searcher no longer proposes what this run has stored: {difference}. "
                    f"{_changed(versions_then, versions_now)}"
                )
        elif decision.kind == "tell":
            searcher.tell(evaluations_of(decision.body["results"], examples_of, measures_of))
        elif decision.kind == "inject":
            inject(searcher, start_of(space, decision.body["label"], decision.body["genome"]))


def evaluations_of(
    results: Sequence[Sequence[Any]],
    examples_of: ExamplesOf | None = None,
    measures_of: MeasuresOf | None = None,
) -> list[Evaluation]:
    """Return the stored results of a tell, in order.

    Args:
        results: ``[id, values or null, error]`` each, and its violation in runs with constraints.
        examples_of: Gives the utilities of a candidate's examples; None where none are wanted.
        measures_of: Gives a candidate's measures; None where none are wanted.
    """
    return [
        Evaluation(
            candidate_id=name,
            values=None if values is None else tuple(float(value) for value in values),
            error=error,
            violation=float(violation[0]) if violation else 0.0,
            examples=None if examples_of is None or values is None else examples_of(name),
            measures=None if measures_of is None or values is None else measures_of(name),
        )
        for name, values, error, *violation in results
    ]


def _difference(
    space: SearchSpace, proposals: Sequence[Proposal], stored: Sequence[CandidateRow]
) -> str | None:
    """Return how the proposals differ from the stored generation, or None."""
    if len(proposals) != len(stored):
        return f"{len(proposals)} candidates instead of {len(stored)}"
    for proposal, row in zip(proposals, stored, strict=True):
        if proposal.id != row.candidate_id:
            return f"candidate {proposal.id} instead of {row.candidate_id}"
        genome = space.decode(proposal.genome)
        if genome != row.genome:
            gene = next(name for name in genome if genome[name] != (row.genome or {}).get(name))
            return (
                f"candidate {row.candidate_id} with {gene} = {genome[gene]} instead of "
                f"{(row.genome or {}).get(gene)}"
            )
        if proposal.origin != row.origin or proposal.parents != row.parents:
            return f"candidate {row.candidate_id} of another origin"
    return None


def _changed(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Name the package versions that changed, and say what to do."""
    changed = [
        f"{name} was {then.get(name, 'absent')} and is {now.get(name, 'absent')}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    if not changed:
        return (
            "No package version changed, so a file of the searcher did. Resume with the code that "
            "the run was started with, or start a new run."
        )
    return (
        f"What changed: {'; '.join(changed)}. Install the versions that the run was started with, "
        "or start a new run; its scores are reused."
    )
