"""Recipes from outside on their way to the searcher, which proposes them at its next ask."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from evomerge.errors import EvomergeError
from evomerge.recipes.space import Genome, SearchSpace
from evomerge.runs.driver.patience import Patience
from evomerge.runs.driver.plan import ReadRecipe
from evomerge.runs.events import Event, Steered
from evomerge.runs.ledger.rows import RequestRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.search.protocol import Searcher, Start, inject

logger = logging.getLogger(__name__)


class Injections:
    """Hands recipes to the searcher, each with a decision in the ledger, so that a replay can too.

    A request that no ask has come for stays in the ledger, and the next driver takes it up.

    Args:
        searcher: Takes them.
        space: What it searches.
        writer: Writes the decisions.
        patience: Writes to a ledger that may be away.
        read_recipe: Makes a recipe of its plain form; None where the run can't read any.
    """

    def __init__(
        self,
        searcher: Searcher,
        space: SearchSpace,
        writer: RunWriter,
        patience: Patience,
        read_recipe: ReadRecipe | None,
    ) -> None:
        self._searcher = searcher
        self._space = space
        self._writer = writer
        self._patience = patience
        self._read_recipe = read_recipe
        self._waiting: list[RequestRow] = []

    def add(self, request: RequestRow) -> None:
        """Keep a request until the searcher is asked next."""
        self._waiting.append(request)

    def hand_over(self) -> Iterator[Event]:
        """Give the searcher what waits; it must not be thinking, and has to be asked next."""
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            yield from self._answer(request)

    def _answer(self, request: RequestRow) -> Iterator[Event]:
        label = str(request.body["label"])
        body: dict[str, Any] = {"request": request.sequence, "label": label}
        event = Steered("inject", label)
        try:
            genome = self._genome(request.body["recipe"])
            inject(self._searcher, start_of(self._space, label, genome))
            body["genome"] = dict(genome)
        except EvomergeError as error:
            logger.warning("recipe %s was not injected: %s", label, error)
            body["refused"] = str(error)
            event = Steered("inject", label, refused=str(error))
        yield from self._patience.write(lambda: self._writer.decide("inject", body, event))
        yield event

    def _genome(self, plain: Mapping[str, Any]) -> Genome:
        assert self._read_recipe is not None, "a run that gets recipes can read them"
        return self._space.genome_of(self._read_recipe(plain))


def start_of(space: SearchSpace, label: str, genome: Genome) -> Start:
    """Return what a searcher is given of an injected genome."""
    return Start(label, space.encode(genome), kind="inject")
