"""One line an event, in text and in JSON, without a secret in it."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from evomerge.runs import log as module
from evomerge.runs.events import Asked, CandidateFailed, Event, Finished, GenerationDone, Progress
from evomerge.runs.log import JsonLines, TextLines, log_event, redact

PROGRESS = Progress(evaluated=5, failed=1, budget=8)
EVENTS: list[Event] = [
    Asked(1, ("1-0", "1-1")),
    GenerationDone(ask=1, best={"acc": 0.75}, elapsed_s=2.5, progress=PROGRESS),
    Finished("1-0", ("1-0",), {"acc": 0.7}, "budget", PROGRESS),
]


class Kept(logging.Handler):
    """Keeps the lines of a formatter."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def kept(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    handler = Kept(request.param())
    logger = logging.getLogger("evomerge")
    before = module.logger.level, logger.level
    logger.addHandler(handler)
    module.logger.setLevel(logging.DEBUG)
    yield handler.lines
    logger.removeHandler(handler)
    module.logger.setLevel(before[0])
    logger.setLevel(before[1])


@pytest.mark.parametrize("kept", [JsonLines], indirect=True)
def test_json_is_one_object_a_line_with_the_ids_of_everything(kept: list[str]) -> None:
    for event in EVENTS:
        log_event(event, run_id="ab12")
    found: list[dict[str, Any]] = [json.loads(line) for line in kept]
    for line, event in zip(found, EVENTS, strict=True):
        keys = ["at", "level", "event", "run", "candidate", "attempt", "worker"]
        assert list(line)[: len(keys)] == keys
        assert (line["event"], line["run"]) == (event.kind, "ab12")
        assert line["at"].endswith("Z")
    assert [line["level"] for line in found] == ["debug", "info", "info"]
    assert found[0]["candidates"] == ["1-0", "1-1"]
    assert found[1]["best"] == {"acc": 0.75}
    assert found[1]["progress"] == {"evaluated": 5, "failed": 1, "budget": 8}


@pytest.mark.parametrize("kept", [TextLines], indirect=True)
def test_text_is_one_line_an_event(kept: list[str]) -> None:
    log_event(EVENTS[1], run_id="ab12")
    (line,) = kept
    assert line.partition(" ")[2] == (
        "INFO generation_done run=ab12 ask=1 best.acc=0.75 elapsed_s=2.5 "
        "evaluated=5 failed=1 budget=8"
    )


@pytest.mark.parametrize("kept", [TextLines, JsonLines], indirect=True)
def test_a_message_of_several_lines_stays_one_line_and_a_warning(kept: list[str]) -> None:
    event = candidate_failed(message='task "a"\nbroke')
    log_event(event, run_id="ab12")
    (line,) = kept
    assert "\n" not in line
    assert r"task \"a\"\nbroke" in line
    assert "warning" in line.lower()


@pytest.mark.parametrize("kept", [JsonLines], indirect=True)
def test_other_records_have_the_same_keys(kept: list[str]) -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("evomerge.anything").exception("it broke: %d", 3)
    (line,) = kept
    found = json.loads(line)
    assert (found["event"], found["level"], found["run"]) == ("log", "error", None)
    assert (found["logger"], found["message"]) == ("evomerge.anything", "it broke: 3")
    assert "ValueError: odd" in found["traceback"]


@pytest.mark.parametrize("kept", [TextLines, JsonLines], indirect=True)
def test_no_secret_reaches_the_log(kept: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_SECRET", "correct horse battery")
    message = (
        "could not connect to postgresql://ada:pa55word@db:5432/runs with password=0ther "
        "and correct horse battery and hf_abcdefghijklmnopqrst"
    )
    log_event(candidate_failed(message=message), run_id="ab12")
    logging.getLogger("evomerge.x").warning("see %s", message)
    assert len(kept) == 2
    for line in kept:
        assert "postgresql://ada:***@db:5432/runs" in line
        assert not any(secret in line for secret in ("pa55word", "0ther", "horse", "hf_abc"))


def test_an_address_without_a_password_is_left_alone() -> None:
    for text in ("sqlite:////data/ledger.db", "postgresql://ada@db:5432/runs", "a@b: see x://y"):
        assert redact(text) == text


def candidate_failed(*, message: str) -> CandidateFailed:
    """Return the event; its other fields don't matter here."""
    more = {"attempt": 2, "worker": "w1"}
    known = {k: v for k, v in more.items() if k in CandidateFailed.__dataclass_fields__}
    return CandidateFailed(
        candidate="1-1", failure="nan", message=message, progress=PROGRESS, **known
    )
