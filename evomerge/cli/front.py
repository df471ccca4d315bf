"""The command ``front``: what a run has to choose from, and what stands out."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import STAR, interval, number, print_json, print_scores, say
from evomerge.cli.options import JsonOption, RunArgument, find_run

if TYPE_CHECKING:
    from evomerge.runs.reading.covered import Hypervolume
    from evomerge.runs.reading.front import Front, FrontEntry
    from evomerge.runs.reading.remarks import Remark

NOTE_LENGTH = 40
"""Characters of a note that the table shows; 'show' has it all."""


def front(
    run: RunArgument,
    prefer: Annotated[
        str | None,
        typer.Option(
            "--prefer",
            metavar="NAME=WEIGHT,…",
            help="Mark the candidate that fits best if objectives matter so much.",
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="BOUND",
            help="Only candidates that keep it, such as 'chat >= 0.6'; repeatable.",
        ),
    ] = None,
    confidence: Annotated[
        bool,
        typer.Option(
            "--confidence",
            help="Leave out only what is beaten beyond the noise; tell how sure each one is.",
        ),
    ] = False,
    validate: Annotated[
        bool,
        typer.Option(
            "--validate",
            help="Score the marked ones on the validation split; show it beside search scores.",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show the best candidate, or the Pareto front where a run has several objectives.

    Marked are the knee (what 'best' means elsewhere), the best of each objective, and what
    --prefer chooses.
    """
    from evomerge.runs.reading.front import Wishes
    from evomerge.runs.reading.results import RunResults

    path = find_run(run)
    wishes = Wishes(prefer=_weights(prefer or ""), where=tuple(where or ()))
    results = RunResults.open(path)
    try:
        found = results.front(wishes, confidence=confidence)
        missing = [item.candidate for item in found.chosen if "validation" not in item.scores]
        if validate and missing:
            from evomerge.runs.rescoring import validate as score

            score(path, missing, on_model=lambda label, i, n: say(f"scoring {label} ({i} of {n})"))
            results.close()
            results = RunResults.open(path)
            found = results.front(wishes, confidence=confidence)
        directions = results.status().directions
    finally:
        results.close()
    if json:
        print_json(found.to_dict())
        return
    print_front(found, directions)
    if validate and found.entries:
        _print_chosen(found)


def print_front(found: "Front", directions: Mapping[str, str]) -> None:
    """Print the front as a table; candidates of equal values are one line."""
    names = [f"{name} ({way})" for name, way in directions.items()]
    sure = any(entry.p_front is not None for entry in found.entries)
    said = any(entry.remark for entry in found.entries)
    rows = [
        (
            entry.candidate + (f" (+{entry.equal} equal)" if entry.equal else ""),
            *(interval(e.value, e.low, e.high) for e in entry.objectives.values()),
            *([_percent(entry.p_front)] if sure else []),
            *([_marks(entry)] if len(directions) > 1 else []),
            *([_said(entry.remark)] if said else []),
            entry.recipe_hash[:12],
        )
        for entry in _distinct(found)
    ]
    state = "final" if found.final else "so far"
    title = f"Front ({found.split} split, {state}; 95 % intervals)"
    columns = [*names, *(["on the front"] if sure else [])]
    columns += ["chosen as"] if len(directions) > 1 else []
    columns += ["remarks"] if said else []
    print_scores(title, ["candidate", *columns, "recipe"], rows)
    if not rows:
        say("No candidate has a score yet.")
    if found.hypervolume is not None:
        _print_hypervolume(found.hypervolume)


def _print_hypervolume(found: "Hypervolume") -> None:
    """Print what the front covers, and between which ends it is measured."""
    ends = ", ".join(
        f"{name} {low:.6g} to {found.ideal[name]:.6g}" for name, low in found.reference.items()
    )
    about = "" if found.exact else "about "
    print(f"Hypervolume: {about}{number(found.value)} of 1 ({ends})\n")


def _print_chosen(found: "Front") -> None:
    """Print search and validation scores of the marked candidates side by side."""
    rows = []
    for entry in found.chosen:
        search, validation = (entry.scores.get(split, {}) for split in ("search", "validation"))
        for name in entry.objectives:
            one, other = search.get(name), validation.get(name)
            cells = [
                "failed" if e is None else interval(e.value, e.low, e.high) for e in (one, other)
            ]
            change = "" if one is None or other is None else number(other.value - one.value)
            rows.append((entry.candidate, ", ".join(entry.marks) or "best", name, *cells, change))
    columns = ["candidate", "chosen as", "objective", "search", "validation", "change"]
    print_scores("Chosen: search and validation scores", columns, rows)


def _distinct(found: "Front") -> "Iterator[FrontEntry]":
    seen = set()
    for entry in found.entries:
        values = tuple(e.value for e in entry.objectives.values())
        if values not in seen:
            seen.add(values)
            yield entry


def _said(remark: "Remark | None") -> str:
    """Return a star, if it is pinned, and the beginning of the newest note."""
    if remark is None:
        return ""
    words = [STAR] if remark.starred else []
    words += ["pinned"] if remark.pinned else []
    if remark.notes:
        text = remark.notes[-1].text
        words.append(text if len(text) <= NOTE_LENGTH else f"{text[: NOTE_LENGTH - 1]}…")
    return " ".join(words)


def _marks(entry: "FrontEntry") -> str:
    """Return the marks; at the knee how many resamples agree, where that was asked for."""
    sure = "" if entry.p_knee is None else f" ({_percent(entry.p_knee)})"
    return ", ".join(f"{m}{sure}" if m in ("knee", "middle") else m for m in entry.marks)


def _percent(share: float | None) -> str:
    return "–" if share is None or share != share else f"{100 * share:.0f} %"


def _weights(text: str) -> dict[str, float]:
    """Return the weights that ``NAME=WEIGHT,NAME=WEIGHT`` gives.

    Raises:
        EvaluationError: It is something else.
    """
    from evomerge.errors import EvaluationError

    found = {}
    for part in filter(None, text.split(",")):
        name, _, weight = part.rpartition("=")
        try:
            found[name.strip()] = float(weight)
        except ValueError:
            raise EvaluationError(
                f"--prefer: got {part!r}, expected NAME=WEIGHT, such as math=0.7,chat=0.3."
            ) from None
    return found
