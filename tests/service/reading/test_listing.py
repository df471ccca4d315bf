import math

import numpy as np
import pytest

from evomerge.errors import ServiceError
from evomerge.service.reading.columns import DONE
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.listing import Wanted, page_of
from tests.service.reading.test_fronts import filled, grow


def walk(followed: FollowedRun, wanted: Wanted, limit: int = 7) -> list[int]:
    """All rows, page by page."""
    rows: list[int] = []
    cursor = None
    while True:
        page = page_of(followed.columns, wanted, limit=limit, cursor=cursor)
        rows += page.rows
        assert len(page.rows) == limit or page.cursor is None
        if page.cursor is None:
            assert len(rows) == page.total
            return rows
        cursor = page.cursor


@pytest.mark.parametrize("name", ["asked", "finished", "device_s", "near", "far"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_pages_give_each_candidate_once_in_order(
    followed: FollowedRun, name: str, sign: str
) -> None:
    rows = walk(followed, Wanted(sort=sign + name))
    columns = followed.columns
    search = columns.splits["search"]
    assert sorted(rows) == list(range(columns.n))
    key = {
        "asked": np.arange(columns.n),
        "finished": search.finished_s,
        "device_s": columns.device_s,
        "near": search.value[:, 0],
        "far": search.value[:, 1],
    }[name]
    values = [float(key[row]) for row in rows]
    known = [value for value in values if not math.isnan(value)]
    assert known == sorted(known, reverse=sign == "-")
    assert all(math.isnan(value) for value in values[len(known) :])


def test_filters_leave_what_they_say(followed: FollowedRun) -> None:
    columns = followed.columns
    search = columns.splits["search"]
    failed = walk(followed, Wanted(states=("failed",)))
    assert failed
    assert {columns.names[row][-2:] for row in failed} == {"-3"}
    good = walk(followed, Wanted(where=("near >= 0.5", "far <= 1.5")))
    assert good == [
        row
        for row in range(columns.n)
        if search.state[row] == DONE and search.value[row, 0] >= 0.5 and search.value[row, 1] <= 1.5
    ]
    assert [columns.names[row] for row in walk(followed, Wanted(text="2-1"))] == ["2-1"]
    assert len(walk(followed, Wanted(origin="rand", kind="search"))) == columns.n
    assert walk(followed, Wanted(kind="reference")) == []
    assert walk(followed, Wanted(only=frozenset({"0-1", "gone"}))) == [columns.rows["0-1"]]
    assert walk(followed, Wanted(parent="0-1")) == []


def test_a_page_goes_on_where_it_was_while_the_run_grows() -> None:
    columns = filled(np.array([[0.1, 0.0], [0.5, 0.0], [0.9, 0.0]]))
    wanted = Wanted(sort="-near")
    first = page_of(columns, wanted, limit=2, cursor=None)
    grow(columns, np.array([[1.0, 0.0], [0.5, 0.0], [0.2, 0.0]]))
    rest = page_of(columns, wanted, limit=10, cursor=first.cursor)
    # What came before the cursor isn't shown again, and nothing after it is left out.
    assert first.rows == [2, 1]
    assert rest.rows == [4, 5, 0]


def test_infinite_and_missing_values_have_their_places() -> None:
    values = [[np.nan, 0], [np.inf, 0], [0.5, 0], [-np.inf, 0], [np.nan, 0]]
    columns = filled(np.array(values, dtype=float))
    for wanted, expected in (
        (Wanted(sort="near"), [3, 2, 1, 0, 4]),
        (Wanted(sort="-near"), [1, 2, 3, 0, 4]),
    ):
        rows: list[int] = []
        cursor = None
        for _ in range(5):
            page = page_of(columns, wanted, limit=1, cursor=cursor)
            rows += page.rows
            cursor = page.cursor
        assert (rows, cursor) == (expected, None)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(sort="nears"), r"sort: nothing is called 'nears'; did you mean 'near'\?"),
        (Wanted(where=("near > 1",)), "where: got 'near > 1', expected NAME >= NUMBER"),
        (Wanted(where=("nix >= 1",)), "no objective is called 'nix'"),
    ],
)
def test_mistakes_are_named(followed: FollowedRun, wanted: Wanted, message: str) -> None:
    with pytest.raises(ServiceError, match=message) as caught:
        page_of(followed.columns, wanted, limit=5, cursor=None)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "W10", "WzFd", "WyJhIiwiYiJd", "bnVsbA", "WzEsMWU5OTld", "////"]
)
def test_a_broken_cursor_is_refused(followed: FollowedRun, cursor: str) -> None:
    with pytest.raises(ServiceError, match="cursor: this isn't one of this list"):
        page_of(followed.columns, Wanted(), limit=5, cursor=cursor)
