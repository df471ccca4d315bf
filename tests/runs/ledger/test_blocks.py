import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from evomerge.runs.ledger.blocks import (
    BlockKey,
    pack_answers,
    pack_scores,
    unpack_answers,
    unpack_scores,
)

KEY = BlockKey("r" * 64, "f" * 64, "float32", "cpu", "search", 3)


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_scores_come_back_bit_for_bit(values: np.ndarray) -> None:
    n, width = values.shape
    back = unpack_scores(pack_scores(values), n, width)
    assert back.shape == values.shape
    assert back.tobytes() == np.ascontiguousarray(values).tobytes()


@given(st.lists(st.one_of(st.none(), st.text())))
def test_answers_come_back(answers: list[str | None]) -> None:
    assert unpack_answers(pack_answers(answers)) == answers


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(BlockKey)])
def test_each_part_changes_the_key(field: str) -> None:
    value = 4 if field == "block" else "other"
    assert dataclasses.replace(KEY, **{field: value}).digest() != KEY.digest()


def test_parts_of_a_key_do_not_run_together() -> None:
    one = dataclasses.replace(KEY, dtype="ab", numeric_class="c")
    other = dataclasses.replace(KEY, dtype="a", numeric_class="bc")
    assert one.digest() != other.digest()
