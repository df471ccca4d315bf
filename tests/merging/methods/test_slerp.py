"""SLERP: ends, symmetry, norms and what happens where there is no angle."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from evomerge.merging.methods.slerp import slerp

A, B = (torch.randn(60, generator=torch.Generator().manual_seed(i)).double() for i in (1, 2))


def angle(one: Tensor, other: Tensor) -> float:
    return math.acos(float(one @ other / (one.norm() * other.norm())))


@pytest.mark.parametrize("mode", ["raw", "geodesic"])
def test_starts_and_ends_at_its_inputs(mode: str) -> None:
    assert torch.equal(slerp([A, B], t=0.0, norm_mode=mode), A)  # type: ignore[arg-type]  # both
    assert torch.equal(slerp([A, B], t=1.0, norm_mode=mode), B)  # type: ignore[arg-type]  # both


@given(st.floats(0, 1))
def test_can_be_turned_around(t: float) -> None:
    torch.testing.assert_close(slerp([A, B], t=t), slerp([B, A], t=1 - t))


@given(st.floats(0, 1))
def test_keeps_equal_norms(t: float) -> None:
    ends = [A / A.norm(), B / B.norm()]
    assert float(slerp(ends, t=t).norm()) == pytest.approx(1.0)


@given(st.floats(0.01, 0.99))
def test_geodesic_turns_and_stretches_evenly(t: float) -> None:
    merged = slerp([A, 3 * B], t=t, norm_mode="geodesic")
    assert angle(A, merged) == pytest.approx(t * angle(A, B))
    assert float(merged.norm()) == pytest.approx(float((1 - t) * A.norm() + t * 3 * B.norm()))


def test_orthonormal_inputs_meet_half_way() -> None:
    merged = slerp([torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])], t=0.5)
    torch.testing.assert_close(merged, torch.tensor([0.5, 0.5]).sqrt())


@pytest.mark.parametrize("other", [A, -A, A + 1e-3 * B, torch.zeros_like(A)])
def test_goes_straight_where_there_is_no_angle(other: Tensor) -> None:
    torch.testing.assert_close(slerp([A, other], t=0.3), 0.7 * A + 0.3 * other)
