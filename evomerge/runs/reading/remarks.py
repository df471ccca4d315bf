"""What users have said of a run's candidates: notes, stars, bans, pins. Standard library alone."""

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
        banned: Its recipe is never chosen nor scored again.
        pinned: It is always among the finalists.
    """

    candidate: str
    starred: bool = False
    notes: tuple[Note, ...] = ()
    banned: bool = False
    pinned: bool = False

    def __bool__(self) -> bool:
        return self.starred or bool(self.notes) or self.banned or self.pinned


def read_remarks(query: Query, run_id: str) -> dict[str, Remark]:
    """Return candidate → what was said of it, in the order in which they were first named."""
    rows = query(
        "SELECT kind, body, made_s FROM request WHERE run_id = :run "
        "AND kind IN ('note', 'star') ORDER BY sequence",
        {"run": run_id},
    )
    notes: dict[str, list[Note]] = {}
    on: dict[str, dict[str, bool]] = {"star": {}, "ban": {}, "pin": {}}
    for kind, body, made_s in rows:
        said = plain(body)
        mine = notes.setdefault(said["candidate"], [])
        if kind == "note":
            mine.append(Note(said["text"], made_s))
        else:
            on[kind][said["candidate"]] = said["on"]
    rows = query(
        "SELECT kind, body, made_s FROM decision WHERE run_id = :run "
        "AND kind IN ('ban', 'pin') ORDER BY sequence",
        {"run": run_id},
    )
    for kind, body, _ in rows:
        said = plain(body)
        if "refused" not in said:
            notes.setdefault(said["candidate"], [])
            on[kind][said["candidate"]] = said["on"]
    found = (
        Remark(
            name,
            starred=on["star"].get(name, False),
            notes=tuple(mine),
            banned=on["ban"].get(name, False),
            pinned=on["pin"].get(name, False),
        )
        for name, mine in notes.items()
    )
    return {remark.candidate: remark for remark in found if remark}


def remark_on(remarks: Mapping[str, Remark], candidate: str) -> Remark:
    """Return the remark on ``candidate``, an empty one where there is none."""
    return remarks.get(candidate, Remark(candidate))
