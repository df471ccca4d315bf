"""What a person asks models of a run: checked, and stored for whoever answers."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.errors import LedgerError, nearest
from evomerge.evaluation.conversation import Message, Prompt
from evomerge.runs.folder import RunFolder
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.plain import text_of
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading.results import RunResults, status_of
from evomerge.runs.talks import KIND, Addressee, body_of, read_talks, unanswered

MOST_CANDIDATES = 4
MOST_MODELS = 12
"""Models that one prompt goes to, parents and sources included."""
MOST_WAITING = 24
"""Answers of one run that may wait at a time."""
LONGEST_PROMPT = 20_000
"""Characters of a prompt."""


@dataclass(frozen=True)
class Question:
    """A prompt, and who is asked.

    Args:
        prompt: What is asked.
        candidates: Ids, or ``best``; none for base and sources alone.
        parents: Ask the candidates' parents too.
        base: Ask the base too.
        sources: Ask all sources too.
        system: The system message; may be empty.
        follows: The talk before it in the conversation.
        template: Use the chat template where there is one.
        max_new_tokens, temperature, seed: How it is answered.
    """

    prompt: str
    candidates: tuple[str, ...] = ()
    parents: bool = False
    base: bool = False
    sources: bool = False
    system: str = ""
    follows: int | None = None
    template: bool = True
    max_new_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Asked:
    """A question that is stored.

    Args:
        number: The talk's number.
        driven: The run's driver answers; otherwise somebody else has to.
    """

    number: int
    driven: bool


def ask(path: Path, question: Question, *, by: str) -> Asked:
    """Store a question to models of the run in ``path``.

    Args:
        path: The run's folder.
        question: What is asked of whom.
        by: Who asks.

    Raises:
        LedgerError: It is no run, or one of networks; there is no such candidate; it is of too
            many models, or too much waits already.
    """
    folder = RunFolder.open(path)
    driven = status_of(path).state == "running"
    candidates = with_best(folder, question.candidates)
    with contextlib.closing(Ledger.open(folder.ledger)) as ledger:
        records = RunRecords(ledger, folder.run_id)
        models = addressees(records, question, candidates)
        _check_room(records, question, len(models))
        body = body_of(_settings(question) | {"by": text_of(by, 255)}, models)
        return Asked(RunWriter(ledger, folder.run_id).add_request(KIND, body), driven)


def addressees(
    records: RunRecords, question: Question, candidates: tuple[str, ...]
) -> list[Addressee]:
    """Return the models that are asked, each once: candidates, their parents, base, sources.

    Args:
        records: The run's rows.
        question: Which of them.
        candidates: Its candidates; none is called ``best`` any more.

    Raises:
        LedgerError: There is no such candidate, nobody is asked, or too many are.
    """
    row = records.run()
    if row.config.get("network"):
        raise LedgerError(
            f"run {row.name!r} evolves networks from scratch, which answer no prompts."
        )
    made_of = records.made_of(candidates)
    found: dict[str, Addressee] = {}
    for name in candidates:
        found[name] = _candidate(row, name, made_of)
    if question.parents:
        names = [parent for name in candidates for parent in made_of.get(name, ("", ()))[1]]
        recipes = records.made_of(names)
        for name in names:
            if name in recipes:
                found.setdefault(name, Addressee(name, "parent", recipes[name][0]))
    for item in _sources(row, question):
        found.setdefault(item.model, item)
    _check_number(len(candidates), len(found))
    return list(found.values())


def with_best(folder: RunFolder, candidates: tuple[str, ...]) -> tuple[str, ...]:
    """Return candidates with the best one by its id.

    Raises:
        LedgerError: No candidate has a score yet.
    """
    if "best" not in candidates:
        return candidates
    with contextlib.closing(RunResults(folder)) as results:
        best = results.best()
    return tuple(best if name == "best" else name for name in candidates)


def prompt_of(question: Question) -> Prompt:
    """Return what a model is given of a question that follows nothing.

    Raises:
        LedgerError: The prompt is empty or too long.
    """
    checked = _settings(question)
    system = [Message("system", checked["system"])] if checked["system"] else []
    return Prompt(
        (*system, Message("user", checked["prompt"])),
        question.max_new_tokens,
        question.temperature,
        question.seed,
        template=question.template,
    )


def _candidate(
    row: RunRow, name: str, made_of: dict[str, tuple[str, tuple[str, ...]]]
) -> Addressee:
    if name in made_of:
        return Addressee(name, "candidate", made_of[name][0])
    source = name.removeprefix("ref-")
    if name.startswith("ref-") and source in row.sources:
        return Addressee(name, "base" if source == _base(row) else "source")
    named = [f"ref-{source}" for source in row.sources]
    raise LedgerError(f"run {row.name!r} has no candidate {name!r}; {nearest(name, named)}")


def _sources(row: RunRow, question: Question) -> list[Addressee]:
    base = _base(row)
    found = [Addressee(f"ref-{base}", "base")] if question.base or question.sources else []
    if question.sources:
        found += [Addressee(f"ref-{name}", "source") for name in row.sources if name != base]
    return found


def _base(row: RunRow) -> str:
    return str(row.config.get("base") or next(iter(row.sources), ""))


def _check_number(candidates: int, models: int) -> None:
    if candidates > MOST_CANDIDATES:
        raise LedgerError(
            f"got {candidates} candidates, and a prompt goes to at most {MOST_CANDIDATES}."
        )
    if not 0 < models <= MOST_MODELS:
        raise LedgerError(
            f"got {models} models, and a prompt goes to 1 to {MOST_MODELS}. Choose candidates, or "
            "leave out their parents or the sources."
        )


def _check_room(records: RunRecords, question: Question, n: int) -> None:
    """Refuse a turn that follows nothing, and more than a worker should be kept busy with."""
    talks = read_talks(records)
    if question.follows is not None and question.follows not in {item.number for item in talks}:
        raise LedgerError(f"there is no talk {question.follows} that this one could follow.")
    waiting = len(unanswered(talks, records.replies()))
    if waiting + n > MOST_WAITING:
        raise LedgerError(
            f"{waiting} answers are waited for already, and a run takes at most {MOST_WAITING} at "
            "a time. Wait for some of them."
        )


def _settings(question: Question) -> dict[str, Any]:
    """Return the part of a question that doesn't depend on the run, and check it.

    Raises:
        LedgerError: The prompt is empty or too long.
    """
    prompt = text_of(question.prompt)
    if not 0 < len(prompt.strip()) <= len(prompt) <= LONGEST_PROMPT:
        raise LedgerError(
            f"the prompt has {len(prompt)} characters, expected 1 to {LONGEST_PROMPT}, not all of "
            "them spaces."
        )
    return {
        "prompt": prompt,
        "system": text_of(question.system),
        "follows": question.follows,
        "template": question.template,
        "max_new_tokens": question.max_new_tokens,
        "temperature": question.temperature,
        "seed": question.seed,
    }
