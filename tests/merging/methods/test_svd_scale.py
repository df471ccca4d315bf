"""The SVD mutation: singular values are raised, by draws that depend on seed, source and tensor."""

from pathlib import Path

import pytest
import torch

from evomerge.errors import MergeError
from evomerge.merging.masks import Stream
from evomerge.merging.methods.svd_scale import raised, svd_scale
from tests.merging.lab import Lab, same

DRAWS = [0.025824786163867, 0.66742461360991, 0.487346039852127]
RATE = 0.25


def test_matches_values_worked_by_hand() -> None:
    # Singular values 3 and 1 along the axes: 3 · (1 + 0.1 · 0.5) and 1 · (1 + 0.1 · 1).
    delta = torch.tensor([[0.0, 3.0, 0.0], [-1.0, 0.0, 0.0]])
    found = raised(delta, torch.tensor([0.5, 1.0], dtype=torch.float64), 0.1)
    torch.testing.assert_close(found, torch.tensor([[0.0, 3.15, 0.0], [-1.1, 0.0, 0.0]]))


def test_draws_are_always_these() -> None:
    stream = Stream.of(seed=7, method="svd_scale", content="a", tensor="w")
    expected = torch.tensor(DRAWS, dtype=torch.float64)
    torch.testing.assert_close(stream.uniform(3), expected, rtol=0, atol=1e-12)
    assert torch.equal(stream.uniform(100)[:3], stream.uniform(3))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.make(tmp_path)


def test_a_seed_raises_singular_values_up_to_the_rate(lab: Lab) -> None:
    merged = lab.merge(lab.recipe("svd_scale", "ab", weights=[1.0, 0.0], seeds=[7, 9], rate=RATE))
    other = lab.merge(lab.recipe("svd_scale", "ab", weights=[1.0, 0.0], seeds=[8, 9], rate=RATE))
    for name, tensor in merged.items():
        before = lab.models["a"][name].double() - lab.models["base"][name].double()
        after = tensor.double() - lab.models["base"][name].double()
        if tensor.ndim == 1:
            torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)
            continue
        u, s, v = torch.linalg.svd(before, full_matrices=False)
        factors = (u.T @ after @ v.T).diagonal() / s
        assert factors.min() > 1 - 1e-3
        assert factors.max() < 1 + RATE + 1e-3
        assert factors.max() - factors.min() > RATE / 2
        torch.testing.assert_close((u * (factors * s)) @ v, after, atol=1e-4, rtol=1e-3)
        assert not torch.equal(tensor, other[name])


def test_seed_0_is_task_arithmetic(lab: Lab) -> None:
    weights = [0.5, 0.3, 0.4]
    plain = lab.merge(lab.recipe("task_arithmetic", "abc", weights=weights))
    found = lab.merge(lab.recipe("svd_scale", "abc", weights=weights, seeds=[0, 0, 0]))
    for name in plain:
        torch.testing.assert_close(found[name], plain[name], atol=1e-6, rtol=1e-5)


def test_one_input_changes_alone(lab: Lab) -> None:
    """Sums of inputs, each with its own seed, are what each gives by itself."""
    both = lab.merge(lab.recipe("svd_scale", "ab", weights=[0.5, 0.5], seeds=[7, 0]))
    one = lab.merge(lab.recipe("svd_scale", "a", weights=[0.5], seeds=[7]))
    two = lab.merge(lab.recipe("svd_scale", "b", weights=[0.5], seeds=[0]))
    for name, base in lab.models["base"].items():
        torch.testing.assert_close(both[name] + base, one[name] + two[name], atol=1e-5, rtol=1e-4)
    assert not same(one, lab.merge(lab.recipe("svd_scale", "a", weights=[0.5], seeds=[6])))


def test_lengths_must_agree() -> None:
    one = torch.ones(2, 2)
    with pytest.raises(MergeError, match="svd_scale got 1 seeds for 2 inputs"):
        svd_scale(one, [one, one], weights=[1.0, 1.0], seeds=[1])
