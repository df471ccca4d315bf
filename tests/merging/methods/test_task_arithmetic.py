"""Task arithmetic: linear in its weights, anchored at the base."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import MergeError
from evomerge.merging.methods.linear import linear
from evomerge.merging.methods.task_arithmetic import task_arithmetic

WEIGHTS = st.lists(st.floats(-2, 2), min_size=2, max_size=2)
BASE, *TENSORS = (
    torch.randn(40, generator=torch.Generator().manual_seed(i)).double() for i in range(3)
)


def test_matches_a_sum_worked_by_hand() -> None:
    base = torch.tensor([1.0, 2.0])
    tensors = [torch.tensor([2.0, 2.0]), torch.tensor([1.0, 4.0])]
    merged = task_arithmetic(base, tensors, weights=[0.5, 0.25], scale=2.0)
    # base + 2 * (0.5 * [1, 0] + 0.25 * [0, 2])
    torch.testing.assert_close(merged, torch.tensor([2.0, 3.0]))


@given(WEIGHTS, WEIGHTS, st.floats(0, 2))
def test_is_linear_in_its_weights(one: list[float], other: list[float], scale: float) -> None:
    def step(weights: list[float]) -> torch.Tensor:
        return task_arithmetic(BASE, TENSORS, weights=weights, scale=scale) - BASE

    both = [a + b for a, b in zip(one, other, strict=True)]
    torch.testing.assert_close(step(both), step(one) + step(other))


@given(WEIGHTS)
def test_scale_0_gives_the_base_bit_for_bit(weights: list[float]) -> None:
    assert torch.equal(task_arithmetic(BASE, TENSORS, weights=weights, scale=0.0), BASE)


def test_one_model_at_full_weight_comes_back() -> None:
    assert torch.equal(task_arithmetic(BASE, TENSORS[:1], weights=[1.0]), TENSORS[0])


@given(st.floats(0, 1))
def test_weights_that_sum_to_1_give_the_average(weight: float) -> None:
    weights = [weight, 1 - weight]
    merged = task_arithmetic(BASE, TENSORS, weights=weights)
    torch.testing.assert_close(merged, linear(TENSORS, weights=weights))


def test_weight_minus_1_mirrors() -> None:
    merged = task_arithmetic(BASE, TENSORS[:1], weights=[-1.0])
    torch.testing.assert_close(merged - BASE, BASE - TENSORS[0])


def test_one_weight_a_model() -> None:
    with pytest.raises(MergeError, match="1 weights for 2 inputs"):
        task_arithmetic(BASE, TENSORS, weights=[1.0])
