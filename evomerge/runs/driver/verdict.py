"""What a search has come to: who may be chosen, who is best of the finalists, how to tell it."""

from collections.abc import Mapping, Sequence

from evomerge.runs.driver.state import SEARCH, VALIDATION, SearchState
from evomerge.runs.events import Finished
from evomerge.runs.hypervolume import Cover, covered
from evomerge.runs.ledger.records import Estimates
from evomerge.runs.objectives import Objectives
from evomerge.runs.ranking import FinalOrder, choose_finalists, final_order


def utilities_of(
    state: SearchState, objectives: Objectives, split: str
) -> dict[str, tuple[float, ...]]:
    """Return the utilities of the candidates that may be chosen, in the order of asking."""
    found = state.scored(split)
    return {name: objectives.utilities(found[name]) for name in objectives.eligible(found)}


def finalists_of(state: SearchState, search: Mapping[str, tuple[float, ...]], n: int) -> list[str]:
    """Return the candidates to re-score: the best ``n``, or a whole front, and what is pinned.

    Args:
        state: Where the search stands.
        search: Search utilities of the candidates that may be chosen.
        n: How many.
    """
    hashes = {name: row.recipe_hash for name, row in state.candidates.items()}
    best = choose_finalists(search, hashes, n)
    scored = state.scored(SEARCH)
    return best + [name for name in state.pinned if name in scored and name not in best]


def order_of(
    state: SearchState, objectives: Objectives, finalists: Sequence[str]
) -> FinalOrder | None:
    """Return the order of re-scored finalists; None where none of them may be chosen."""
    validated = utilities_of(state, objectives, VALIDATION)
    scores = {name: validated[name] for name in finalists if name in validated}
    if not scores:
        return None
    found = state.scored(SEARCH)
    return final_order(scores, {name: objectives.utilities(found[name]) for name in scores})


def finished_event(state: SearchState, objectives: Objectives) -> Finished:
    """Return the event that tells of the final decision."""
    assert state.final is not None
    best = str(state.final["best"])
    front: list[str] = state.final["front"]
    validated = state.estimates[VALIDATION]
    return Finished(
        best=best,
        front=tuple(front),
        objectives=objectives.values(validated[best]),
        reason=str(state.final["reason"]),
        progress=state.progress,
        hypervolume=covered(objectives, [validated[name] for name in front]),
    )


def feasible(state: SearchState, objectives: Objectives) -> list[Estimates]:
    """Return search estimates of the candidates that keep the constraints and may be chosen."""
    return [x for x in state.scored(SEARCH).values() if objectives.violation(x) == 0]


def best_so_far(state: SearchState, objectives: Objectives) -> dict[str, float]:
    """Return objective → best value on the search split."""
    return dict(objectives.best(objectives.values(x) for x in feasible(state, objectives)))


def cover_of(state: SearchState, objectives: Objectives) -> Cover | None:
    """Return what the front covers; None where the run has no hypervolume."""
    return Cover.where_known(objectives, map(objectives.utilities, feasible(state, objectives)))
