import numpy as np

from evomerge.runs.reading.niches import Part
from evomerge.search.niches import attraction
from evomerge.service.reading.niche_map import MOST_COLUMNS, MOST_MATES, attraction_of, map_of


def test_examples_stand_in_the_order_of_who_is_best_on_them() -> None:
    scores = np.array(
        [
            # one: 5 examples     two: 3
            [0.0, 1.0, 0.0, 0.0, 1.0, 0.5, 0.0, 0.0],
            [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0],
            [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0],
        ]
    )
    found = map_of(scores, [Part("one", "hit", 0, 5), Part("two", "hit", 5, 3)])
    # Example 4 is solved by two of them, and counts as the fittest's.
    assert found["columns"] == [[4], [1], [0], [3], [2], [6], [5], [7]]
    assert [(p["task"], p["first"], p["n"]) for p in found["parts"]] == [
        ("one", 0, 5),
        ("two", 5, 3),
    ]
    assert found["scores"][0] == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0]
    assert found["best"] == [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0]


def test_many_examples_share_columns_and_none_is_lost() -> None:
    scores = (np.random.default_rng(0).random((120, 5_000)) < 0.3).astype(float)
    parts = [Part("long", "hit", 0, 4_990), Part("short", "hit", 4_990, 10)]
    found = map_of(scores, parts)
    assert len(found["columns"]) <= MOST_COLUMNS
    assert sorted(index for column in found["columns"] for index in column) == list(range(5_000))
    assert len(found["scores"]) == 100
    for part, range_ in zip(parts, found["parts"], strict=True):
        own = found["columns"][range_["first"] : range_["first"] + range_["n"]]
        assert own
        assert all(part.first <= i < part.first + part.n for column in own for i in column)
    column = found["columns"][3]
    assert found["scores"][7][3] == round(float(scores[7, column].mean()), 3)
    assert found["best"][3] == round(float(scores[:, column].max(axis=0).mean()), 3)


def test_an_empty_archive_has_an_empty_map() -> None:
    assert map_of(np.zeros((0, 0)), []) == {"parts": [], "columns": [], "scores": [], "best": []}
    assert attraction_of(np.zeros((0, 0)), []) == {"candidates": [], "value": []}


def test_attraction_is_what_the_searcher_draws_by() -> None:
    scores = np.random.default_rng(1).random((50, 30))
    found = attraction_of(scores, [str(i) for i in range(50)])
    assert found["candidates"] == [str(i) for i in range(MOST_MATES)]
    for first in (0, 7):
        expected = attraction(scores, first)[:MOST_MATES].round(3)
        np.testing.assert_array_equal(found["value"][first], expected)
        assert found["value"][first][first] == 0
