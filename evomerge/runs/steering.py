"""What users ask of a search: recipes to try, candidates to ban or pin.

It is checked here and stored as a request, which the run's driver answers by a decision. For a run
that nobody drives bans and pins are decided here; recipes wait for the next driver.
"""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evomerge.errors import LedgerError
from evomerge.recipes.phases import PhasedSpace
from evomerge.recipes.recipe import Recipe
from evomerge.recipes.space import SearchSpace
from evomerge.runs.driver import rulings
from evomerge.runs.driver.heart import held_run
from evomerge.runs.driver.rulings import objection, rule, stands
from evomerge.runs.driver.state import SearchState
from evomerge.runs.folder import RunFolder, driver_lock, is_driven
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.objectives import Objectives
from evomerge.runs.reading.results import RunResults, status_of

LONGEST_LABEL = 100
"""Characters of a label."""
PATIENCE_S = 15.0
"""Seconds that a ban or pin waits for the driver's answer, which it gives every two seconds."""


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
    from evomerge.runs.setup.starts import genome_in

    if isinstance(space, PhasedSpace):
        return recipe
    made = space.recipe(genome_in(space, recipe))
    wanted = made.hash()
    for row in records.candidates():
        if row.kind == "search" and row.recipe_hash == wanted:
            raise LedgerError(
                f"candidate {row.candidate_id} of this run has that recipe already, on the grid of "
                "its space. Inject another one."
            )
    return made


@dataclass(frozen=True)
class Steered:
    """What has become of a ban or pin.

    Args:
        candidate: Its id.
        on: It is banned or pinned; False: it isn't any more.
        changed: It wasn't so before.
        answered: It holds; False: the driver is busy and takes it up later.
        best: Who is best of a finished run from now on, None for nobody; empty in other runs.
    """

    candidate: str
    on: bool
    changed: bool = True
    answered: bool = True
    best: str | None = ""


def steer(
    path: Path,
    kind: Literal["ban", "pin"],
    candidate: str,
    *,
    on: bool,
    patience_s: float = PATIENCE_S,
) -> Steered:
    """Ban or pin a candidate of the run in ``path``, or take that back.

    What is banned is never chosen from now on, and its recipe isn't scored in the search again.
    What is pinned is always among the finalists.

    Args:
        path: The run's folder.
        kind: ``ban`` or ``pin``.
        candidate: A candidate's id, or ``best``.
        on: False takes it back.
        patience_s: Seconds to wait for a driver's answer.

    Raises:
        LedgerError: It is no run, there is no such candidate, or it can't be banned or pinned.
    """
    with contextlib.closing(RunResults.open(path)) as results:
        name = results.find(candidate).candidate_id
        if kind == "ban" and not on:
            name = _banned_as(results, name)
        if stands(results.state, kind, name) == on:
            return Steered(name, on, changed=False)
        if refused := objection(results.state, kind, name, on=on):
            raise LedgerError(refused)
        folder = results.folder
    with contextlib.closing(Ledger.open(folder.ledger)) as ledger:
        writer = RunWriter(ledger, folder.run_id)
        number = writer.add_request(kind, {"candidate": name, "on": on})
        answer = _answer(folder, ledger, number, patience_s)
        if answer is None:
            return Steered(name, on, answered=False)
        if "refused" in answer:
            raise LedgerError(str(answer["refused"]))
        return Steered(name, on, best=_best_after(RunRecords(ledger, folder.run_id), kind))


def _banned_as(results: RunResults, name: str) -> str:
    """Return the candidate under whose name the recipe of ``name`` is banned; itself if none."""
    rows = results.state.candidates
    recipe = rows[name].recipe_hash if name in rows else ""
    banned = (item.candidate for item in results.remarks().values() if item.banned)
    return next((other for other in banned if rows[other].recipe_hash == recipe), name)


def _answer(
    folder: RunFolder, ledger: Ledger, number: int, patience_s: float
) -> Mapping[str, Any] | None:
    """Return the decision on a request, made here if nobody drives the run; None if it is late."""
    records = RunRecords(ledger, folder.run_id)
    until = time.monotonic() + patience_s
    while True:
        for decision in records.decisions(*rulings.KINDS):
            if decision.body["request"] == number:
                return decision.body
        if not is_driven(folder.path):
            # Another driver may be faster, or live on another machine.
            with contextlib.suppress(LedgerError):
                _decide(folder, ledger)
                continue
        if time.monotonic() >= until:
            return None
        time.sleep(0.2)


def _decide(folder: RunFolder, ledger: Ledger) -> None:
    """Answer all bans and pins that no driver has answered, as the run's driver for a moment.

    Raises:
        LedgerError: Somebody drives the run.
    """
    with driver_lock(folder.path), held_run(ledger, folder.run_id) as epoch:
        records = RunRecords(ledger, folder.run_id)
        row = records.run()
        objectives = Objectives.from_plain(
            row.config["objectives"], row.tasks, row.config.get("constraints", ())
        )
        state = SearchState.load(records, budget=row.config["search"]["budget"])
        objectives.panel.fill(state.references())
        writer = RunWriter(ledger, folder.run_id, epoch)
        answered = {int(item.body["request"]) for item in records.decisions(*rulings.KINDS)}
        for request in records.requests(*rulings.KINDS):
            if request.sequence not in answered:
                rule(request, state, objectives).write(writer)


def _best_after(records: RunRecords, kind: str) -> str | None:
    """Return who is best after a ban on a finished run; empty where nothing was decided anew."""
    last = records.decisions()[-1]
    if kind == "ban" and last.kind == "final":
        return str(last.body["best"])
    return None if kind == "ban" and last.kind == "extend" else ""
