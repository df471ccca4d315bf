"""Splits: disjoint, exact, stratified, nested, duplicates together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import EvaluationError
from evomerge.evaluation.splits import normalise_text, order_examples, split_examples

TEXTS = [f"example {index}" for index in range(100)]


def sizes(search: float, validation: float, test: float) -> dict[str, float]:
    return {"search": search, "validation": validation, "test": test}


@given(
    labels=st.lists(st.integers(0, 15), min_size=12, max_size=60),
    seed=st.integers(0, 5),
)
def test_splits_are_disjoint_and_hold_no_duplicate_of_each_other(
    labels: list[int], seed: int
) -> None:
    texts = [
        f"Text  {label}" if index % 2 else f"text {label}" for index, label in enumerate(labels)
    ]
    try:
        splits = split_examples(texts, sizes(3, 2, 2), seed=seed, name="t")
    except EvaluationError:
        assert len(set(labels)) < 7, "too few distinct texts is the only reason to refuse"
        return
    assert [len(splits[name]) for name in ("search", "validation", "test")] == [3, 2, 2]
    found = [{normalise_text(texts[index]) for index in split} for split in splits.values()]
    for number, one in enumerate(found):
        for other in found[number + 1 :]:
            assert not one & other
    flat = [index for split in splits.values() for index in split]
    assert len(flat) == len(set(flat))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_larger_search_split_keeps_the_smaller_one_and_the_others(seed: int) -> None:
    small = split_examples(TEXTS, sizes(20, 15, 25), seed=seed, name="t")
    large = split_examples(TEXTS, sizes(60, 15, 25), seed=seed, name="t")
    assert large["search"][:20] == small["search"]
    assert large["validation"] == small["validation"]
    assert large["test"] == small["test"]


def test_the_order_follows_texts_and_seed_not_position() -> None:
    forward = [TEXTS[group[0]] for group in order_examples(TEXTS, seed=3)]
    backward = [TEXTS[::-1][group[0]] for group in order_examples(TEXTS[::-1], seed=3)]
    assert forward == backward
    assert forward != [TEXTS[group[0]] for group in order_examples(TEXTS, seed=4)]


def test_each_split_has_the_strata_in_proportion() -> None:
    strata = ["rare" if index % 5 == 0 else "common" for index in range(100)]
    splits = split_examples(TEXTS, sizes(40, 20, 40), seed=0, name="t", strata=strata)
    for name, rare in (("search", 8), ("validation", 4), ("test", 8)):
        assert abs(sum(strata[index] == "rare" for index in splits[name]) - rare) <= 1


def test_fractions_that_add_up_to_one_use_every_example() -> None:
    splits = split_examples(TEXTS[:23], sizes(0.5, 0.25, 0.25), seed=0, name="t")
    assert sorted(index for split in splits.values() for index in split) == list(range(23))
    assert splits["rest"] == []


def test_rest_is_what_no_split_uses() -> None:
    splits = split_examples([*TEXTS, *TEXTS], sizes(21, 10, 10), seed=0, name="t")
    used = {
        normalise_text(TEXTS[i % 100]) for s in ("search", "validation", "test") for i in splits[s]
    }
    rest = {normalise_text(TEXTS[i % 100]) for i in splits["rest"]}
    assert rest == {normalise_text(text) for text in TEXTS} - used


@pytest.mark.parametrize(
    ("given_sizes", "message"),
    [
        (sizes(60, 30, 30), r"has 100 examples, and its splits want 120 \(search 60"),
        (sizes(60, 0, 30), "the split 'validation' would have no examples"),
        (sizes(60, 0.001, 30), "the split 'validation' would have no examples"),
        ({"search": 5, "test": 5}, r"expected search, validation and test. Mend splits.validation"),
        ({**sizes(5, 5, 5), "train": 5}, r"Mend splits.train"),
        (sizes(5, -1, 5), "splits.validation is -1; expected a number of examples or a fraction"),
        (sizes(5, 1.5, 5), "splits.validation is 1.5"),
        ({"search": True, "validation": 1, "test": 1}, "splits.search is True"),
    ],
)
def test_sizes_that_do_not_fit_are_one_clear_error(
    given_sizes: dict[str, float], message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        split_examples(TEXTS, given_sizes, seed=0, name="t")


def test_too_many_duplicates_are_named() -> None:
    with pytest.raises(EvaluationError, match="100 examples, 2 of them distinct"):
        split_examples(["a", "b"] * 50, sizes(10, 10, 10), seed=0, name="t")
