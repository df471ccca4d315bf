"""What users ask of a search: recipes to try. Checked here, stored as requests, done by the driver.

A request outlives its driver: the next one takes up what is unanswered.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from evomerge.errors import LedgerError
from evomerge.recipes.phases import PhasedSpace
from evomerge.recipes.recipe import Recipe
from evomerge.recipes.space import SearchSpace
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading.results import status_of

LONGEST_LABEL = 100
"""Characters of a label."""


@dataclass(frozen=True)
class InjectRequest:
    """A recipe that a run is to try.

    Args:
        request: The request's number.
        label: What the recipe is called; its candidate's origin is ``inject:LABEL``.
        state: State of the run; where it isn't ``running`` the recipe waits for a resume.
    """

    request: int
    label: str
    state: str


def request_inject(path: Path, given: str, *, label: str | None = None) -> InjectRequest:
    """Have the searcher of the run in ``path`` propose a recipe at its next ask.

    Its values are rounded to the grid of the run's space. In a search by phases only the driver
    knows the space of the phase, and decides whether that has the recipe.

    Args:
        path: The run's folder.
        given: A recipe file, or ``RUN:CANDIDATE`` with another run's folder.
        label: What to call it; the file's name or the other run's and candidate's if None.

    Raises:
        LedgerError: It is no run, there is no such recipe, or a candidate has it already.
        RecipeError: The run's space can't represent it; the message names the parameter.
        ProblemsError: The file is no recipe, or a source has changed.
    """
    from evomerge.runs.setup.starts import read_found
    from evomerge.runs.start import prepare_stored

    folder, prepared, row = prepare_stored(path)
    found = read_found(given, prepared.sources)
    label = label or found.label
    if len(label) > LONGEST_LABEL:
        raise LedgerError(
            f"the label has {len(label)} characters, expected at most {LONGEST_LABEL}. Give a "
            "shorter one: --label NAME"
        )
    state = status_of(path).state
    with contextlib.closing(Ledger.open(folder.ledger)) as ledger:
        recipe = _representable(found.recipe, prepared.space, RunRecords(ledger, row.run_id))
        body = {"label": label, "recipe": recipe.to_dict()}
        number = RunWriter(ledger, row.run_id).add_request("inject", body)
    return InjectRequest(number, label, state)


def _representable(recipe: Recipe, space: SearchSpace, records: RunRecords) -> Recipe:
    """Return what a run's space makes of ``recipe``, unless a candidate has it already."""
    if isinstance(space, PhasedSpace):
        return recipe
    made = space.recipe(space.genome_of(recipe))
    wanted = made.hash()
    for row in records.candidates():
        if row.kind == "search" and row.recipe_hash == wanted:
            raise LedgerError(
                f"candidate {row.candidate_id} of this run has that recipe already, on the grid of "
                "its space. Inject another one."
            )
    return made
