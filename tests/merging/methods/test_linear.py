"""Linear: the properties of a weighted average."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import MergeError
from evomerge.merging.methods.linear import linear

WEIGHTS = st.lists(st.floats(0.01, 5), min_size=3, max_size=3)
TENSORS = [torch.randn(40, generator=torch.Generator().manual_seed(i)).double() for i in range(3)]


@given(WEIGHTS, st.floats(0.1, 10))
def test_a_common_factor_of_the_weights_cancels(weights: list[float], factor: float) -> None:
    scaled = linear(TENSORS, weights=[factor * w for w in weights])
    torch.testing.assert_close(scaled, linear(TENSORS, weights=weights))


@given(WEIGHTS)
def test_averages_lie_between_the_models(weights: list[float]) -> None:
    merged, stacked = linear(TENSORS, weights=weights), torch.stack(TENSORS)
    assert bool((merged >= stacked.amin(0) - 1e-12).all())
    assert bool((merged <= stacked.amax(0) + 1e-12).all())


@given(WEIGHTS, WEIGHTS)
def test_a_merge_of_merges_is_a_merge(one: list[float], other: list[float]) -> None:
    nested = linear(
        [linear(TENSORS, weights=one), linear(TENSORS, weights=other)], weights=[0.25, 0.75]
    )
    combined = [
        0.25 * a / sum(one) + 0.75 * b / sum(other) for a, b in zip(one, other, strict=True)
    ]
    torch.testing.assert_close(nested, linear(TENSORS, weights=combined))


def test_identical_models_give_that_model() -> None:
    merged = linear([TENSORS[0]] * 3, weights=[1, 2, 3])
    torch.testing.assert_close(merged, TENSORS[0], rtol=1e-15, atol=0)


def test_weights_that_cancel_are_refused() -> None:
    with pytest.raises(MergeError, match="whose sum is 0"):
        linear(TENSORS, weights=[1.0, -1.0, 0.0])
    assert torch.equal(
        linear(TENSORS, weights=[1.0, -1.0, 0.0], normalize=False), TENSORS[0] - TENSORS[1]
    )


def test_one_weight_a_model() -> None:
    with pytest.raises(MergeError, match="2 weights for 3 inputs"):
        linear(TENSORS, weights=[1.0, 1.0])
