"""What ``evomerge show RUN archive`` prints: the models of an m2n2 search and their niches."""

from pathlib import Path

from evomerge.cli.display import print_json, print_table, table
from evomerge.cli.options import find_run


def show_archive(run: Path, *, json: bool) -> None:
    """Show who lives in the archive of a run, on what, and who left last.

    Raises:
        LedgerError: The run's searcher keeps no archive.
    """
    from evomerge.runs.reading.niches import read_niches
    from evomerge.runs.reading.results import RunResults

    results = RunResults.open(find_run(run))
    try:
        found = read_niches(results.records, results.row, results.objectives)
    finally:
        results.close()
    if json:
        print_json(found)
        return
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
