"""TIES: trimming, signs and the disjoint mean, on the function and through the engine."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import MergeError
from evomerge.merging.methods.ties import ties
from tests.merging.lab import Lab, same

BASE = torch.zeros(4)
SEEDS = st.integers(0, 10_000)


def vectors(seed: int, n: int = 3, d: int = 50) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(d, generator=generator, dtype=torch.float64) for _ in range(n)]


def test_models_that_agree_are_averaged_or_added_up() -> None:
    tensors = [torch.tensor([1.0, -2.0, 3.0, 0.0]), torch.tensor([2.0, -4.0, 1.0, 0.0])]
    mean = ties(BASE, tensors, weights=[1, 1], densities=[1, 1])
    assert mean.tolist() == [1.5, -3.0, 2.0, 0.0]
    total = ties(BASE, tensors, weights=[1, 1], densities=[1, 1], normalize=False, scale=0.5)
    assert total.tolist() == [1.5, -3.0, 2.0, 0.0]


def test_one_whole_model_comes_back() -> None:
    base, tensor = vectors(0, 2)
    merged = ties(base, [tensor], weights=[1.0], densities=[1.0])
    torch.testing.assert_close(merged, tensor)


@given(SEEDS)
def test_results_have_the_elected_sign_or_none(seed: int) -> None:
    tensors = vectors(seed)
    merged = ties(torch.zeros(50).double(), tensors, weights=[1, 1, 1], densities=[1, 1, 1])
    elected = torch.stack(tensors).sum(0).sign()
    assert bool(((merged.sign() == elected) | (merged == 0)).all())


@given(SEEDS, st.floats(0.1, 10))
def test_a_common_factor_of_the_weights_cancels(seed: int, factor: float) -> None:
    base, *tensors = vectors(seed, 4)
    weights = [0.5, 1.0, 2.0]
    one = ties(base, tensors, weights=weights, densities=[0.5] * 3)
    scaled = [factor * weight for weight in weights]
    torch.testing.assert_close(one, ties(base, tensors, weights=scaled, densities=[0.5] * 3))


@given(SEEDS, st.floats(0, 1))
def test_keeps_exactly_the_share_that_was_asked_for(seed: int, density: float) -> None:
    (tensor,) = vectors(seed, 1)
    merged = ties(torch.zeros_like(tensor), [tensor], weights=[1], densities=[density])
    assert int((merged != 0).sum()) == int(density * 50)


def test_a_negative_weight_votes_against_its_model() -> None:
    merged = ties(BASE, [torch.tensor([1.0, -1.0, 2.0, 0.0])], weights=[-1.0], densities=[1.0])
    assert merged.tolist() == [-1.0, 1.0, -2.0, 0.0]


def test_cancelled_votes_follow_zero_sign() -> None:
    tensors = [torch.tensor([2.0, -1.0, -3.0, -1.0]), torch.tensor([-2.0, -1.0, 1.0, -1.0])]
    given: dict[str, list[float]] = {"weights": [1, 1], "densities": [1, 1]}
    plus = ties(BASE, tensors, **given, zero_sign="plus")  # type: ignore[arg-type]  # lists only
    most = ties(BASE, tensors, **given, zero_sign="majority")  # type: ignore[arg-type]  # lists only
    drop = ties(BASE, tensors, **given, zero_sign="drop")  # type: ignore[arg-type]  # lists only
    assert [plus[0], most[0], drop[0]] == [2.0, -2.0, 0.0]
    assert plus[1:].tolist() == most[1:].tolist() == drop[1:].tolist() == [-1.0, -3.0, -1.0]


def test_signs_can_be_counted() -> None:
    tensors = [torch.full((4,), 5.0), torch.full((4,), -1.0), torch.full((4,), -2.0)]
    given = {"weights": [1, 1, 1], "densities": [1, 1, 1]}
    assert ties(BASE, tensors, **given, elect="sum").tolist() == [5.0] * 4  # type: ignore[arg-type]
    assert ties(BASE, tensors, **given, elect="count").tolist() == [-1.5] * 4  # type: ignore[arg-type]


def test_density_and_weight_for_each_model() -> None:
    with pytest.raises(MergeError, match="1 densities for 2 inputs"):
        ties(BASE, [BASE, BASE], weights=[1, 1], densities=[1])


@pytest.mark.parametrize("zero_sign", ["plus", "majority", "drop"])
@pytest.mark.parametrize("elect", ["sum", "count"])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_engine_does_what_the_function_does(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    zero_sign: str,
    elect: str,
    normalize: bool,
) -> None:
    lab = Lab.make(tmp_path, n=2)
    options = {"zero_sign": zero_sign, "elect": elect, "normalize": normalize, "scale": 0.7}
    given = {"weights": [0.5, -1.5], "densities": [0.0035, 0.777]}
    recipe = lab.recipe("ties", "ab", **given, **options)
    merged = lab.merge(recipe)
    order = sorted("ab", key=lambda name: lab.sources[name].sha256)
    turned = {key: [value["ab".index(n)] for n in order] for key, value in given.items()}
    for name, base in lab.models["base"].items():
        tensors = [lab.models[n][name] for n in order]
        expected = ties(base, tensors, **turned, **options)  # type: ignore[arg-type]  # as named
        assert torch.equal(merged[name], expected), name
    monkeypatch.setattr("evomerge.merging.native.LIBRARY", None)
    assert same(merged, lab.merge(recipe, chunk=10_000))
