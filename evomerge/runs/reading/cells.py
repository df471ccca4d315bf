"""The best model of each kind, as a quality-diversity search's ledger tells of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from evomerge.config.run import RunConfig
from evomerge.errors import LedgerError
from evomerge.runs.driver.replay import evaluations_of
from evomerge.runs.driver.state import SEARCH
from evomerge.runs.ledger.records import Estimates, RunRecords
from evomerge.runs.ledger.rows import CandidateRow, RunRow
from evomerge.runs.objectives import Objectives
from evomerge.runs.setup.scalarise import scalarised
from evomerge.search.grid_archive import Axis, Elite, GridArchive
from evomerge.search.protocol import SEARCHERS, Evaluation, Proposal, Searcher, needs_measures


@dataclass(frozen=True)
class Occupant:
    """The best model of a cell.

    Args:
        cell: Number of its bin on each axis, from 0.
        candidate: Its id.
        quality: Raw value of the objective; with search.scalarise the number made of several.
        measures: Raw value on each axis.
    """

    cell: tuple[int, ...]
    candidate: str
    quality: float
    measures: tuple[float, ...]


@dataclass(frozen=True)
class CellArchive:
    """An archive of the best model of each kind.

    Args:
        quality: The objective that elites are best by; ``score`` with search.scalarise.
        axes: The measures.
        occupants: The elites, best first.
        n_cells: Cells that there are.
        coverage: Share of the cells that anyone is in.
        qd_score: Sum of the elites' qualities; None where a quality is below 0 or minimised, as
            that would make an empty cell better than a full one.
    """

    quality: str
    axes: tuple[Axis, ...]
    occupants: tuple[Occupant, ...]
    n_cells: int
    coverage: float
    qd_score: float | None


def keeps_cells(row: RunRow) -> bool:
    """Say if a run's search keeps an archive of cells."""
    search = row.config["search"]
    names = SEARCHERS.names()
    name = search["searcher"]
    return name in names and not search.get("phases") and needs_measures(SEARCHERS.get(name).value)


def read_cells(records: RunRecords, row: RunRow, objectives: Objectives) -> tuple[CellArchive, ...]:
    """Return the archives as they are after all results that the searcher was told of.

    Raises:
        LedgerError: The search keeps no such archive.
    """
    if not keeps_cells(row):
        raise LedgerError(
            f"run {row.name!r} is a search by {row.config['search']['searcher']}, which keeps no "
            "archive of cells. Name a candidate, or 'best'."
        )
    axes = [Axis(m.number.name, m.low, m.high, m.bins) for m in objectives.measures]
    archive = GridArchive(axes)
    for item in _heard(records, row, objectives):
        if (
            item.values is not None
            and not item.violation
            and np.isfinite(item.measures or ()).all()
        ):
            archive.add(Elite(item.candidate_id, None, item.values[0], item.measures or ()))
    one = len(objectives.all) == 1
    turned = -1.0 if one and objectives.all[0].direction == "minimize" else 1.0
    return (_described(archive, objectives.all[0].name if one else "score", turned),)


def _described(archive: GridArchive, quality: str, turned: float) -> CellArchive:
    found = [
        Occupant(cell, elite.id, turned * elite.quality, elite.measures)
        for cell, elite in sorted(archive.cells.items(), key=lambda item: -item[1].quality)
    ]
    qualities = [elite.quality for elite in archive.elites]
    summed = sum(qualities) if turned > 0 and min(qualities, default=0.0) >= 0 else None
    coverage = len(archive) / archive.n_cells
    return CellArchive(quality, archive.axes, tuple(found), archive.n_cells, coverage, summed)


@dataclass
class _Ear:
    """Stands where the searcher does and remembers what it hears, in the order that it counts.

    Args:
        rows: Candidate → where it was asked for.
    """

    rows: Mapping[str, CandidateRow]
    heard: list[Evaluation] = field(default_factory=list)
    _since: list[Evaluation] = field(default_factory=list)
    _next: list[Proposal] = field(default_factory=list)

    def expect(self, names: Iterable[str]) -> None:
        """Take what the next ask gave."""
        self._next = [Proposal(name, np.zeros(0), "") for name in names]

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return what was stored; what came since the last ask counts in the order of asking."""
        self.heard += sorted(self._since, key=self._place)
        self._since = []
        return self._next

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Remember results."""
        self._since += evaluations

    def _place(self, item: Evaluation) -> tuple[int, int]:
        row = self.rows[item.candidate_id]
        return row.ask, row.place


def _heard(records: RunRecords, row: RunRow, objectives: Objectives) -> list[Evaluation]:
    """Return all results as the searcher heard them, scalarised where the run does that."""
    estimates: Mapping[str, Estimates] = records.estimates(SEARCH)
    ear = _Ear({item.candidate_id: item for item in records.candidates()})
    config = RunConfig.model_validate(row.config)
    one = config.search.scalarise
    searcher: Searcher = ear if one is None else scalarised(config, one, ear)
    for decision in records.decisions("ask", "tell"):
        if decision.kind == "ask":
            ear.expect(decision.body["candidates"])
            searcher.ask(decision.body.get("n"))
            continue
        results = decision.body["results"]
        searcher.tell(
            evaluations_of(results, None, lambda name: objectives.measured(estimates[name]))
        )
    ear.ask()
    return ear.heard
