from hypothesis import given
from hypothesis import strategies as st

from evomerge.runs.ranking import choose_finalists, final_order, pareto_front
from evomerge.search.fronts import dominates

SCORES = st.dictionaries(
    st.integers(0, 99).map(str),
    st.tuples(st.integers(0, 4).map(float), st.integers(0, 4).map(float)),
    min_size=1,
    max_size=25,
)


@given(SCORES)
def test_the_front_holds_exactly_what_nothing_dominates(scores: dict) -> None:
    expected = {
        name
        for name, value in scores.items()
        if not any(dominates(other, value) for other in scores.values())
    }
    front = pareto_front(scores)
    assert set(front) == expected
    assert len(front) == len(expected)


def test_one_objective_takes_the_best_in_order_and_ties_by_asking() -> None:
    scores = {"0-0": (1.0,), "0-1": (3.0,), "0-2": (2.0,), "0-3": (3.0,), "0-4": (2.0,)}
    recipes = {name: name for name in scores}
    assert choose_finalists(scores, recipes, 3) == ["0-1", "0-3", "0-2"]


def test_equal_recipes_count_once() -> None:
    scores = {"0-0": (2.0,), "0-1": (2.0,), "0-2": (1.0,)}
    assert choose_finalists(scores, {"0-0": "a", "0-1": "a", "0-2": "b"}, 2) == ["0-0", "0-2"]


def test_a_front_is_taken_whole_and_filled_up_with_the_next_rank() -> None:
    scores = {"0-0": (0.0, 0.0), "0-1": (3.0, 1.0), "0-2": (1.0, 3.0), "0-3": (2.0, 0.5)}
    recipes = {name: name for name in scores}
    assert choose_finalists(scores, recipes, 1) == ["0-1", "0-2"]
    assert choose_finalists(scores, recipes, 3) == ["0-1", "0-2", "0-3"]


def test_validation_decides_then_search_then_asking() -> None:
    search = {"0-0": (1.0,), "0-1": (2.0,), "0-2": (2.0,)}
    order = final_order(dict.fromkeys(search, (0.5,)), search)
    assert (order.best, order.front) == ("0-1", ("0-1",))
    assert final_order({"0-0": (0.6,), "0-1": (0.5,)}, search).best == "0-0"


def test_with_two_objectives_the_front_is_final_and_led_by_the_first() -> None:
    validation = {"0-0": (1.0, 2.0), "0-1": (2.0, 1.0), "0-2": (0.0, 0.0)}
    order = final_order(validation, validation)
    assert order.front == ("0-1", "0-0")
    assert order.best == "0-1"
