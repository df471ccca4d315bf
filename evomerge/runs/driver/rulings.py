"""Bans and pins: what is decided on a request, by the driver or for a run that nobody drives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.runs.driver.state import SEARCH, SearchState
from evomerge.runs.driver.verdict import best_so_far, cover_of, finished_event, order_of
from evomerge.runs.events import Event, Steered
from evomerge.runs.ledger.rows import RequestRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.objectives import Objectives

KINDS = ("ban", "pin")


@dataclass(frozen=True)
class Ruling:
    """A decision on a request.

    Args:
        kind: ``ban`` or ``pin``.
        body: The decision's body; with ``refused`` where it is none.
        event: Tells of it.
        then: (kind, body, event) of a decision that follows from it.
    """

    kind: str
    body: Mapping[str, Any]
    event: Steered
    then: tuple[str, Mapping[str, Any], Event | None] | None = None

    def write(self, writer: RunWriter) -> None:
        """Store it, whole or not at all."""
        with writer.batch(self.kind):
            writer.decide(self.kind, self.body, self.event)
            if self.then is not None:
                writer.decide(*self.then)


def rule(request: RequestRow, state: SearchState, objectives: Objectives) -> Ruling:
    """Decide on a request, and take that into account in ``state``.

    A ban on a finished run decides anew who is best of its finalists; where none is left, the run
    isn't finished any more, and its next driver scores others.
    """
    kind, name, on = request.kind, str(request.body["candidate"]), bool(request.body["on"])
    body: dict[str, Any] = {"request": request.sequence, "candidate": name, "on": on}
    action = kind if on else f"un{kind}"
    if refused := objection(state, kind, name, on=on):
        return Ruling(kind, body | {"refused": refused}, Steered(action, name, refused=refused))
    final = state.final
    state.decided(kind, body)
    if kind != "ban":
        return Ruling(kind, body, Steered(action, name))
    cover = cover_of(state, objectives)
    event = Steered(
        action,
        name,
        best=best_so_far(state, objectives),
        hypervolume=None if cover is None else cover.volume.value,
    )
    then = None if final is None else _decide_anew(final, state, objectives)
    return Ruling(kind, body, event, then)


def objection(state: SearchState, kind: str, candidate: str, *, on: bool) -> str:
    """Return why a request can't be met; empty where it can.

    Args:
        state: Where the search stands.
        kind: ``ban`` or ``pin``.
        candidate: Its id.
        on: False takes a ban or pin back.
    """
    row = state.candidates.get(candidate)
    if row is None:
        return (
            f"{candidate} isn't a candidate that the search has proposed. Name one of those: a ban "
            "or pin means nothing for others."
        )
    if not on:
        return ""
    if kind == "ban":
        same = [x for x in state.pinned if state.candidates[x].recipe_hash == row.recipe_hash]
        if same:
            return f"{same[0]} is pinned and has that recipe. Take the pin back first (--undo)."
    elif row.recipe_hash in state.banned:
        return f"the recipe of {candidate} is banned. Take the ban back first (--undo)."
    elif candidate in state.failures.get(SEARCH, {}):
        return f"{candidate} has failed, so that it can't be a finalist. Pin one that has scores."
    return ""


def stands(state: SearchState, kind: str, candidate: str) -> bool:
    """Say if a candidate is banned or pinned."""
    if kind == "pin":
        return candidate in state.pinned
    row = state.candidates.get(candidate)
    return row is not None and row.recipe_hash in state.banned


def _decide_anew(
    final: Mapping[str, Any], state: SearchState, objectives: Objectives
) -> tuple[str, Mapping[str, Any], Event | None]:
    """Return the final decision among the finalists that may still be chosen."""
    order = order_of(state, objectives, final["finalists"])
    if order is None:
        ended = {"reason": state.ended_by} if state.ended_by else {}
        body = {"budget": state.budget, **ended}
        state.decided("extend", body)
        return "extend", body, None
    body = {**final, "best": order.best, "front": list(order.front)}
    state.decided("final", body)
    return "final", body, finished_event(state, objectives)
