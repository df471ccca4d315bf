"""The best model of each kind, as a quality-diversity search's ledger tells of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evomerge.config.run import RunConfig
from evomerge.errors import LedgerError
from evomerge.runs.driver.replay import evaluations_of
from evomerge.runs.driver.state import SEARCH
from evomerge.runs.ledger.records import Estimates, RunRecords
from evomerge.runs.ledger.rows import CandidateRow, RunRow
from evomerge.runs.objectives import Objectives
from evomerge.runs.reading.moments import MOMENTS, evenly
from evomerge.runs.setup.scalarise import scalarised
from evomerge.search.cycled_archives import CycledArchives, Result
from evomerge.search.grid_archive import Axis, Elite, GridArchive
from evomerge.search.protocol import SEARCHERS, Evaluation, Proposal, Searcher, needs_measures

CYCLED = "cycleqd"


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
class Stage:
    """An archive after some result.

    Args:
        result: Number of that result, from 1.
        occupied: Cells that anyone is in.
        best: Raw quality of the best elite.
    """

    result: int
    occupied: int
    best: float


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
        course: The archive at up to ``MOMENTS`` moments, evenly spread over all results; the last
            is the present.
    """

    quality: str
    axes: tuple[Axis, ...]
    occupants: tuple[Occupant, ...]
    n_cells: int
    coverage: float
    qd_score: float | None
    course: tuple[Stage, ...] = ()


def keeps_cells(row: RunRow) -> bool:
    """Say if a run's search keeps archives of cells."""
    name = row.config["search"]["searcher"]
    if row.config["search"].get("phases") or name not in SEARCHERS.names():
        return False
    return name == CYCLED or needs_measures(SEARCHERS.get(name).value)


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
    heard = _heard(records, row, objectives)
    if row.config["search"]["searcher"] == CYCLED:
        return _cycled(heard, row, objectives)
    axes = [Axis(m.number.name, m.low, m.high, m.bins) for m in objectives.measures]
    one = len(objectives.all) == 1
    turned = -1.0 if one and objectives.all[0].direction == "minimize" else 1.0
    archive = GridArchive(axes)
    course = []
    for number, item in enumerate(heard.results, 1):
        if (
            item.values is not None
            and not item.violation
            and np.isfinite(item.measures or ()).all()
        ):
            archive.add(Elite(item.candidate_id, None, item.values[0], item.measures or ()))
        course += _stage(archive, number, turned)
    return (_described(archive, objectives.all[0].name if one else "score", turned, course),)


def _cycled(heard: "_Ear", row: RunRow, objectives: Objectives) -> tuple[CellArchive, ...]:
    """Return an archive for each objective of a search by cycleqd, in raw units."""
    options = SEARCHERS.get(CYCLED).declaration.fill(row.config["search"]["options"])
    names = [item.name for item in objectives.all]
    signs = [1.0 if item.direction == "maximize" else -1.0 for item in objectives.all]
    archives = CycledArchives(names, int(options["bins"]))
    courses: list[list[Stage]] = [[] for _ in names]
    number = 0
    for step in heard.steps:
        if isinstance(step, Evaluation):
            number += 1
            values = None if step.violation else step.values
            archives.told(Result(step.candidate_id, heard.place(step), None, values))
        else:
            archives.settle()
            archives.asked(step)
            # There are no grids before the first results.
            for course, grid, sign in zip(courses, archives.grids, signs, strict=False):
                course += _stage(grid, number, sign)
    found = []
    for task, grid in enumerate(archives.grids):
        turned = signs[:task] + signs[task + 1 :]
        described = _described(grid, names[task], signs[task], courses[task])
        found.append(_raw(described, turned))
    return tuple(found)


def _raw(archive: CellArchive, signs: Sequence[float]) -> CellArchive:
    """Turn the axes of minimised objectives back to raw values."""
    axes = [
        axis if sign > 0 else replace(axis, low=-axis.high, high=-axis.low)
        for axis, sign in zip(archive.axes, signs, strict=True)
    ]
    occupants = []
    for item in archive.occupants:
        cell = tuple(
            number if sign > 0 else axis.bins - 1 - number
            for number, axis, sign in zip(item.cell, axes, signs, strict=True)
        )
        measures = tuple(sign * value for sign, value in zip(signs, item.measures, strict=True))
        occupants.append(replace(item, cell=cell, measures=measures))
    return replace(archive, axes=tuple(axes), occupants=tuple(occupants))


def _stage(archive: GridArchive, number: int, turned: float) -> list[Stage]:
    """Return how an archive is now, nothing while it is empty."""
    best = max((elite.quality for elite in archive.elites), default=None)
    return [] if best is None else [Stage(number, len(archive), turned * best)]


def _described(
    archive: GridArchive, quality: str, turned: float, course: Sequence[Stage]
) -> CellArchive:
    found = [
        Occupant(cell, elite.id, turned * elite.quality, elite.measures)
        for cell, elite in sorted(archive.cells.items(), key=lambda item: -item[1].quality)
    ]
    qualities = [elite.quality for elite in archive.elites]
    summed = sum(qualities) if turned > 0 and min(qualities, default=0.0) >= 0 else None
    coverage = len(archive) / archive.n_cells
    return CellArchive(
        quality=quality,
        axes=archive.axes,
        occupants=tuple(found),
        n_cells=archive.n_cells,
        coverage=coverage,
        qd_score=summed,
        course=evenly(course, MOMENTS),
    )


@dataclass
class _Ear:
    """Stands where the searcher does and remembers what it hears, in the order that it counts.

    Args:
        rows: Candidate → where it was asked for.
        steps: Results, and the candidates of each ask, which come after what it knew of.
    """

    rows: Mapping[str, CandidateRow]
    steps: list[Evaluation | list[str]] = field(default_factory=list)
    _since: list[Evaluation] = field(default_factory=list)
    _next: list[Proposal] = field(default_factory=list)

    @property
    def results(self) -> list[Evaluation]:
        """All results."""
        return [step for step in self.steps if isinstance(step, Evaluation)]

    def expect(self, names: Iterable[str]) -> None:
        """Take what the next ask gave."""
        self._next = [Proposal(name, np.zeros(0), "") for name in names]

    def ask(self, n: int | None = None) -> list[Proposal]:
        """Return what was stored; what came since the last ask counts in the order of asking."""
        since = sorted(self._since, key=self.place)
        self.steps += since
        self._since = []
        self.steps.append([proposal.id for proposal in self._next])
        return self._next

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Remember results."""
        self._since += evaluations

    def place(self, item: Evaluation) -> tuple[int, int]:
        """Return the number of a candidate's ask, and its place there."""
        row = self.rows[item.candidate_id]
        return row.ask, row.place


def _heard(records: RunRecords, row: RunRow, objectives: Objectives) -> _Ear:
    """Return all asks and results as the searcher knew them, scalarised where the run does that."""
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
    ear.expect(())
    ear.ask()
    return ear
