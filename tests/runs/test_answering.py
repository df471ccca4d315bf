"""Prompts to models of a run that nobody drives, answered in this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import LedgerError
from evomerge.evaluation.answering import answer
from evomerge.evaluation.conversation import Message, Prompt
from evomerge.evaluation.language_model import LanguageModel
from evomerge.runs.answering import answer_talks, ask_here
from evomerge.runs.asking import MOST_WAITING, Question, ask
from evomerge.runs.export import export
from evomerge.runs.folder import RunFolder
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import ReplyRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading.results import RunResults
from evomerge.runs.start import new_run, stored_run
from tests.cli.commands import call, call_json, mistake
from tests.runs.fakes import picture

RUN = Path("runs/tiny")


@pytest.fixture
def records(workspace: Path, raw_config: dict[str, Any]) -> Iterator[RunRecords]:
    """A finished run."""
    raw_config["search"]["warm_starts"] = False
    with new_run(parse_config(raw_config, where="tiny.yaml")) as opened:
        for _ in opened.run.drive():
            pass
    folder = RunFolder.open(RUN)
    ledger = Ledger.open(folder.ledger)
    yield RunRecords(ledger, folder.run_id)
    ledger.close()


def said_by(folder: Path, *texts: str) -> str:
    roles = ("user", "assistant") * len(texts)
    messages = tuple(Message(role, text) for role, text in zip(roles, texts, strict=False))
    return answer(LanguageModel.load(folder), Prompt(messages, 8)).text


def test_a_candidate_its_base_and_the_sources_answer_as_on_the_disk(records: RunRecords) -> None:
    before = picture(records)
    question = Question("ab", ("best",), base=True, sources=True, max_new_tokens=8)
    asked = ask(RUN, question, by="ada")
    assert not asked.driven
    follow = Question("cd", ("best",), follows=asked.number, max_new_tokens=8)
    again = ask(RUN, follow, by="ada")
    assert answer_talks(RUN) == 5
    assert answer_talks(RUN) == 0
    out = export(RUN, "best", Path("out"))
    best = next(iter(records.replies())).model
    done = {(row.talk, row.model): row for row in records.replies() if row.state == "done"}
    assert done[asked.number, best].text == said_by(out, "ab")
    assert done[asked.number, "ref-right"].text == said_by(Path("right"), "ab")
    first = done[asked.number, best].text
    assert done[again.number, best].text == said_by(out, "ab", first, "cd")
    assert done[asked.number, best].facts["n_tokens"] <= 8
    assert picture(records) == before


def test_a_run_that_goes_on_answers_what_was_left(records: RunRecords) -> None:
    number = ask(RUN, Question("ab", ("0-1",), max_new_tokens=4), by="ada").number
    with stored_run(RUN, overrides=["search.budget=8"]) as opened:
        for _ in opened.run.drive():
            pass
    ended = [row for row in records.replies() if row.state != "begun"]
    assert [(row.talk, row.model, row.state) for row in ended] == [(number, "0-1", "done")]


def test_an_answer_that_ended_two_processes_is_given_up(records: RunRecords) -> None:
    number = ask(RUN, Question("ab", ("0-1",)), by="ada").number
    writer = RunWriter(records.ledger, records.run_id)
    for _ in range(2):
        writer.add_reply(ReplyRow(number, "0-1", "begun"))
    assert answer_talks(RUN) == 0
    assert records.replies()[-1].state == "failed"


REFUSED = [
    (Question("ab", ("9-9",)), "has no candidate '9-9'"),
    (Question("ab", ("ref-lft",)), "mean 'ref-left'"),
    (Question("ab", ("0-0", "0-1", "0-2", "0-3", "1-0")), "at most 4"),
    (Question("ab"), "got 0 models"),
    (Question(" \n", ("0-0",)), "the prompt has 2 characters"),
    (Question("a" * 20_001, ("0-0",)), "the prompt has 20001 characters"),
    (Question("ab", ("0-0",), follows=7), "no talk 7"),
]


def test_what_can_not_be_asked_is_refused(records: RunRecords) -> None:
    for question, message in REFUSED:
        with pytest.raises(LedgerError, match=message):
            ask(RUN, question, by="ada")
    assert records.requests() == []
    for _ in range(MOST_WAITING // 4):
        ask(RUN, Question("ab", ("0-0",), sources=True), by="ada")
    with pytest.raises(LedgerError, match="24 answers are waited for already"):
        ask(RUN, Question("ab", ("0-0",)), by="ada")


def test_the_command_asks_without_storing_anything(records: RunRecords) -> None:
    found = call_json("ask", RUN, "ab", "--base", "--max-new-tokens", "8")
    best = RunResults.open(RUN).best()
    assert [(item["model"], item["role"]) for item in found["answers"]] == [
        (best, "candidate"),
        ("ref-base", "base"),
    ]
    assert found["answers"][1]["text"] == said_by(Path("base"), "ab")
    shown = call("ask", RUN, "ab", "--candidate", "ref-base", "--max-new-tokens", "8")[0]
    assert "ref-base (base)" in shown
    assert "no candidate '9-9'" in mistake("ask", RUN, "ab", "--candidate", "9-9")[0]
    assert records.replies() == records.requests() == []
    question = Question("ab", ("0-0", "0-1"), temperature=1.0, seed=3, max_new_tokens=8)
    runs = [[outcome.reply for _, outcome in ask_here(RUN, question)] for _ in range(2)]
    assert runs[0] == runs[1]
