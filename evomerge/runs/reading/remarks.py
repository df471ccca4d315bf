"""What users have said of a run's candidates: notes and stars. Standard library alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from evomerge.runs.reading.accounting import Query
from evomerge.runs.reading.newest import plain


@dataclass(frozen=True)
class Note:
    """A note, and when it was written, in seconds since 1970."""

    text: str
    made_s: float


@dataclass(frozen=True)
class Remark:
    """What was said of one candidate.

    Args:
        candidate: Its id.
        starred: It has a star.
        notes: In the order of writing.
    """

    candidate: str
    starred: bool = False
    notes: tuple[Note, ...] = ()

    def __bool__(self) -> bool:
        return self.starred or bool(self.notes)


def read_remarks(query: Query, run_id: str) -> dict[str, Remark]:
    """Return candidate → what was said of it, in the order in which they were first named."""
    rows = query(
        "SELECT kind, body, made_s FROM request WHERE run_id = :run "
        "AND kind IN ('note', 'star') ORDER BY sequence",
        {"run": run_id},
    )
    notes: dict[str, list[Note]] = {}
    starred: dict[str, bool] = {}
    for kind, body, made_s in rows:
        said = plain(body)
        mine = notes.setdefault(said["candidate"], [])
        if kind == "note":
            mine.append(Note(said["text"], made_s))
        else:
            starred[said["candidate"]] = said["on"]
    found = (Remark(name, starred.get(name, False), tuple(mine)) for name, mine in notes.items())
    return {remark.candidate: remark for remark in found if remark}


def remark_on(remarks: Mapping[str, Remark], candidate: str) -> Remark:
    """Return the remark on ``candidate``, an empty one where there is none."""
    return remarks.get(candidate, Remark(candidate))
