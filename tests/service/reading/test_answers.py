import json
import threading
from typing import Any

from evomerge.service.reading.answers import Answers, encoded


class Clock:
    """Time that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_equal_version_is_not_made_again() -> None:
    made: list[int] = []
    answers = Answers(clock=Clock())
    for version in (1, 1, 2, 2):
        answers.get("key", version, lambda v=version: made.append(v) or v)
    assert made == [1, 2]


def test_what_took_long_is_given_again_for_ten_times_as_long() -> None:
    clock = Clock()
    answers = Answers(clock=clock)

    def slow(value: int) -> Any:
        clock.now += 2.0
        return value

    first = answers.get("key", 1, lambda: slow(1))
    clock.now += 19.9
    assert answers.get("key", 2, lambda: slow(2)) == first
    clock.now += 0.2
    assert answers.get("key", 2, lambda: slow(2)).body == b"2"


def test_what_changes_with_time_is_made_anew_each_time_that_it_costs_nothing() -> None:
    answers = Answers(clock=Clock())
    bodies = [answers.get("key", None, lambda v=value: v).body for value in (1, 2)]
    assert bodies == [b"1", b"2"]


def test_the_store_keeps_within_its_bytes() -> None:
    answers = Answers(most_bytes=3_300, clock=Clock())
    for key in range(5):
        answers.get(key, 1, lambda: "x" * 30)
    made: list[int] = []
    for key in (4, 3, 0):
        answers.get(key, 1, lambda k=key: made.append(k))
    assert made == [0]


def test_others_take_the_old_answer_while_a_new_one_is_made() -> None:
    clock = Clock()
    answers = Answers(clock=clock)
    answers.get("key", 1, lambda: "old")
    begun, go_on = threading.Event(), threading.Event()

    def make() -> str:
        begun.set()
        assert go_on.wait(10)
        return "new"

    thread = threading.Thread(target=answers.get, args=("key", 2, make))
    thread.start()
    assert begun.wait(10)
    assert answers.get("key", 2, lambda: "twice").body == b'"old"'
    go_on.set()
    thread.join()
    assert answers.get("key", 2, lambda: "twice").body == b'"new"'


def test_a_failure_to_make_it_is_not_kept() -> None:
    answers = Answers(clock=Clock())

    def broken() -> Any:
        raise ValueError("no")

    for _ in range(2):
        try:
            answers.get("key", 1, broken)
        except ValueError:
            continue
        raise AssertionError("expected ValueError")
    assert answers.get("key", 1, lambda: 1).body == b"1"


def test_what_is_not_a_number_becomes_null() -> None:
    body = {"a": float("nan"), "b": [float("inf"), -float("inf"), 1.5], "c": "<i>"}
    found = encoded(body)
    assert json.loads(found.body) == {"a": None, "b": [None, None, 1.5], "c": "<i>"}
    assert encoded({"a": 1}).etag != found.etag
