import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import LedgerError
from evomerge.runs.folder import write_run
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.rows import RunRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading.texts import stored_examples
from evomerge.runs.setup.evaluators import build_evaluators, evaluator_specs, facts_of
from evomerge.service.reading.texts import (
    MISSING,
    PREPARING,
    READY,
    Key,
    Texts,
    TextStore,
    read_in_process,
)

KEY = ("runs/toy", "math", "search")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def store(read: Callable[[Key], Texts], clock: Clock | None = None) -> TextStore:
    return TextStore(read, clock=clock or Clock())


def test_nobody_waits_for_texts_longer_than_asked() -> None:
    go_on = threading.Event()

    def read(key: Key) -> Texts:
        assert go_on.wait(10)
        return Texts(READY, examples=[("2 + 2 =", "4")])

    texts = store(read)
    assert texts.get(KEY).state == PREPARING
    go_on.set()
    found = texts.get(KEY, wait_s=10)
    assert found.at(0, 3) == {"prompt": "2 +", "expected": "4"}
    assert found.at(1, 3) == {"prompt": None, "expected": None}
    texts.close()


def test_texts_are_read_once_and_failures_again_after_a_while() -> None:
    clock = Clock()
    found = iter([Texts(MISSING, "gone"), Texts(READY, examples=[("a", "b")])])
    texts = store(lambda key: next(found), clock)
    assert [texts.get(KEY, wait_s=10).state for _ in range(3)] == [MISSING] * 3
    clock.now = 61.0
    assert [texts.get(KEY, wait_s=10).state for _ in range(3)] == [READY] * 3
    texts.close()


def test_a_bug_while_reading_can_be_tried_again() -> None:
    answers: list[Any] = [ValueError("no"), Texts(READY)]

    def read(key: Key) -> Texts:
        if isinstance(answers[0], Exception):
            raise answers.pop(0)
        return answers[0]  # type: ignore[no-any-return]

    texts = store(read)
    with pytest.raises(ValueError, match="no"):
        texts.get(KEY, wait_s=10)
    assert texts.get(KEY, wait_s=10).state == READY
    texts.close()


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run with one task, whose prompts hold markup."""
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"prompt": f"<b>{i} + {i} =", "answer": f"{i + i}"}) for i in range(12)]
    (tmp_path / "sums.jsonl").write_text("\n".join(lines) + "\n")
    raw = {
        "name": "sums",
        "base": "base",
        "sources": {name: {"path": name} for name in ("base", "left", "right")},
        "recipe": {"parameters": [{"method": "linear", "inputs": ["left", "right"]}]},
        "evaluators": {
            "sums": {
                "type": "generation",
                "data": "sums.jsonl",
                "metric": "exact",
                "splits": {"search": 4, "validation": 4, "test": 4},
            }
        },
        "objectives": {"sums": {"from": ["sums"], "direction": "maximize"}},
        "search": {"searcher": "random", "budget": 4},
    }
    config = parse_config(raw, where="sums")
    tasks = facts_of(build_evaluators(evaluator_specs(config), []))
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = Ledger.open(url, create=True)
    row = RunRow(
        "a" * 32, "sums", 0.0, config.model_dump(mode="json", by_alias=True), {}, tasks, {}, (), {},
        (), True,
    )  # fmt: skip
    RunWriter(ledger, row.run_id).create(row)
    ledger.close()
    folder = tmp_path / "runs" / "sums"
    folder.mkdir(parents=True)
    write_run(folder, run_id=row.run_id, name="sums", ledger=url, config="{}\n")
    return folder


def test_a_process_reads_what_the_task_asks(scored: Path) -> None:
    direct = [(item.prompt, item.expected) for item in stored_examples(scored, "sums", "search")]
    assert len(direct) == 4
    assert all(p == f"<b>{int(e) // 2} + {int(e) // 2} =" for p, e in direct)
    assert read_in_process((str(scored), "sums", "search")) == Texts(READY, examples=direct)


def test_a_task_that_has_changed_is_not_shown(scored: Path) -> None:
    file = Path("sums.jsonl")
    file.write_text(file.read_text().replace("1 + 1", "one + one"))
    with pytest.raises(LedgerError, match="evaluator 'sums' has changed"):
        stored_examples(scored, "sums", "search")


def test_a_process_that_fails_gives_its_reason(tmp_path: Path) -> None:
    found = read_in_process((str(tmp_path), "sums", "search"))
    assert found.state == MISSING
    assert found.reason.startswith("the examples of 'sums' can't be read: ")
    assert "is not the folder of a run" in found.reason
