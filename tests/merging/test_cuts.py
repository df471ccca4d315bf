"""The k largest magnitudes, against a stable sort."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from evomerge.merging.chunks import Whole
from evomerge.merging.cuts import TaskVector

KINDS = [torch.float32, torch.float64, torch.bfloat16]


def vector(base: Tensor, tensor: Tensor, *, compiled: bool = True) -> TaskVector:
    wide = torch.float64 if base.dtype == torch.float64 else torch.float32
    raw = (base, tensor) if compiled else None
    return TaskVector(Whole(base, wide), Whole(tensor, wide), wide, raw)


def by_sorting(delta: Tensor, keep: int) -> Tensor:
    order = torch.sort(delta.abs(), descending=True, stable=True).indices
    return torch.zeros_like(delta).index_copy(0, order[:keep], delta[order[:keep]])


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("compiled", [True, False])
def test_keeps_what_a_stable_sort_keeps(dtype: torch.dtype, compiled: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(100_003, generator=generator).to(dtype)
    tensor = (base + 0.01 * torch.randn(100_003, generator=generator)).to(dtype)
    found = vector(base, tensor, compiled=compiled)
    delta = (
        tensor.double() - base.double() if dtype == torch.float64 else tensor.float() - base.float()
    )
    for keep in (1, 2, 777, 20_000, 50_001, 99_999, 100_002):
        trimmed = found.cut(keep).trim(delta, 0)
        assert torch.equal(trimmed, by_sorting(delta, keep))


@given(
    st.lists(
        st.sampled_from([0.0, -0.0, 0.5, -0.5, 0.25, -2.0, 3e-42, 1e30]), min_size=1, max_size=40
    ),
    st.integers(0, 41),
    st.integers(1, 7),
    st.sampled_from([True, False]),
)
def test_ties_are_kept_by_lower_index(
    values: list[float], keep: int, chunk: int, compiled: bool
) -> None:
    delta = torch.tensor(values)
    cut = vector(torch.zeros_like(delta), delta, compiled=compiled).cut(keep)
    pieces = [
        cut.trim(delta[start : start + chunk], start) for start in range(0, len(values), chunk)
    ]
    assert torch.equal(torch.cat(pieces), by_sorting(delta, min(keep, len(values))))


def test_keeping_all_or_nothing_needs_no_count() -> None:
    delta = torch.tensor([1.0, -2.0])
    found = vector(torch.zeros(2), delta)
    assert found.cut(0).threshold == math.inf
    assert torch.equal(found.cut(0).trim(delta, 0), torch.zeros(2))
    assert torch.equal(found.cut(2).trim(delta, 0), delta)


def test_mostly_zeros_are_no_special_case() -> None:
    delta = torch.zeros(70_000)
    delta[[5, 69_999]] = torch.tensor([-1.0, 2.0])
    for keep in (1, 2, 3, 60_000):
        assert torch.equal(
            vector(torch.zeros(70_000), delta).cut(keep).trim(delta, 0), by_sorting(delta, keep)
        )
