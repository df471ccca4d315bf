"""What ``evomerge show RUN archive`` prints: models and their niches, or the best of each kind."""

from pathlib import Path
from typing import TYPE_CHECKING

from evomerge.cli.display import print_json, print_table, table
from evomerge.cli.options import find_run

if TYPE_CHECKING:
    from evomerge.runs.reading.cells import CellArchive
    from evomerge.runs.reading.niches import Niches

MOST_ROWS = 30
"""Elites that are printed of an archive of cells."""


def show_archive(run: Path, *, json: bool) -> None:
    """Show who lives in the archive of a run, and on what, or which cells are whose.

    Raises:
        LedgerError: The run's searcher keeps no archive.
    """
    from evomerge.runs.reading.cells import keeps_cells, read_cells
    from evomerge.runs.reading.niches import read_niches
    from evomerge.runs.reading.results import RunResults

    results = RunResults.open(find_run(run))
    try:
        parts = results.records, results.row, results.objectives
        if keeps_cells(results.row):
            cells = read_cells(*parts)
            if json:
                print_json({"archives": cells})
            else:
                for archive in cells:
                    _print_cells(archive)
            return
        niches = read_niches(*parts)
    finally:
        results.close()
    if json:
        print_json(niches)
    else:
        _print_niches(niches)


def _print_cells(found: "CellArchive") -> None:
    """Print the best models, each with its cell."""
    rows = []
    for item in found.occupants[:MOST_ROWS]:
        ranges = []
        for axis, number in zip(found.axes, item.cell, strict=True):
            width = (axis.high - axis.low) / axis.bins
            low = axis.low + number * width
            ranges.append(f"{low:.4g} – {low + width:.4g}")
        rows.append((item.candidate, f"{item.quality:.4f}", *ranges))
    title = f"Best {found.quality} of each kind: {len(found.occupants)} of {found.n_cells} cells"
    columns = ["candidate", f">{found.quality}", *(f">{axis.name}" for axis in found.axes)]
    print_table(table(title, columns, rows))
    if len(found.occupants) > len(rows):
        print(f"These are the best {len(rows)}; --json has all.")
    score = "" if found.qd_score is None else f", QD-score {found.qd_score:.4f}"
    print(f"Coverage {found.coverage:.4f}{score}")


def _print_niches(found: "Niches") -> None:
    """Print who lives on what, and who left last."""
    columns = [
        "candidate", "parents", ">mean", ">fitness", ">best on", ">alone best on",
        ">better than parents", ">worse",
    ]  # fmt: skip
    rows = [
        (
            m.candidate,
            ", ".join(m.parents) or "–",
            f"{m.mean:.4f}",
            f"{m.fitness:.2f}",
            m.wins,
            len(m.alone),
            len(m.gained),
            len(m.lost),
        )
        for m in found.members
    ]
    n = sum(part.n for part in found.parts)
    print_table(table(f"Archive: {len(rows)} models, {n} examples", columns, rows))
    print(f"Mean over examples of the best model's score: {found.coverage:.4f}")
    niches = [item for item in found.departures if item.niche and item.candidate != item.newcomer]
    if niches:
        last = niches[-1]
        examples = f"{len(last.niche)} example{'s' if len(last.niche) > 1 else ''}"
        print(
            f"Niches that disappeared: {len(niches)}. The last was that of {last.candidate}, "
            f"alone best on {examples}, which left for {last.newcomer}."
        )
