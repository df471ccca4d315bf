"""DARE, linear and TIES: what is dropped, how it's rescaled, and that it averages out."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.merging.lab import Lab, same

MATRIX = "model.embed_tokens.weight"
NORM = "model.norm.weight"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.make(tmp_path_factory.mktemp("lab") / "models", n=2)


def step(lab: Lab, name: str = MATRIX, **options: Any) -> torch.Tensor:
    """What DARE adds to the base's tensor, from model a alone."""
    merged = lab.merge(lab.recipe("dare_linear", "a", **options))
    return merged[name] - lab.models["base"][name]


def test_density_1_is_task_arithmetic_and_ties(lab: Lab) -> None:
    given = {"weights": [0.5, 0.25], "densities": [1.0, 1.0]}
    dare = lab.merge(lab.recipe("dare_linear", "ab", **given))
    plain = lab.merge(lab.recipe("task_arithmetic", "ab", weights=[0.5, 0.25]))
    for name in dare:
        torch.testing.assert_close(dare[name], plain[name])
    assert same(
        lab.merge(lab.recipe("dare_ties", "ab", **given)),
        lab.merge(lab.recipe("ties", "ab", **given)),
    )


def test_keeps_its_share_and_divides_by_it(lab: Lab) -> None:
    delta = (lab.models["a"][MATRIX] - lab.models["base"][MATRIX]).flatten()
    found = step(lab, weights=[1.0], densities=[0.3]).flatten()
    kept = found.abs() > 1e-7
    n = delta.numel()
    assert abs(float(kept.float().mean()) - 0.3) < 4 * (0.3 * 0.7 / n) ** 0.5 + 1e-4
    torch.testing.assert_close(found[kept], delta[kept] / 0.3, rtol=1e-4, atol=1e-6)


def test_averages_out_over_seeds(lab: Lab) -> None:
    delta = lab.models["a"]["lm_head.weight"] - lab.models["base"]["lm_head.weight"]
    seeds, density = 300, 0.4
    total = torch.zeros_like(delta)
    for seed in range(seeds):
        recipe = lab.recipe("dare_linear", "a", weights=[1.0], densities=[density], seed=seed)
        merged = next(t for n, t in lab.merger().tensors(recipe) if n == "lm_head.weight")
        total += merged - lab.models["base"]["lm_head.weight"]
    deviation = delta.abs() * ((1 - density) / density / seeds) ** 0.5
    assert bool(((total / seeds - delta).abs() < 5 * deviation + 1e-6).all())


def test_lower_densities_keep_a_part_of_what_higher_keep(lab: Lab) -> None:
    low = step(lab, weights=[1.0], densities=[0.2], rescale="none")
    high = step(lab, weights=[1.0], densities=[0.6], rescale="none")
    assert bool(((low.abs() < 1e-7) | (high.abs() > 1e-7)).all())
    assert int((low != 0).sum()) < int((high != 0).sum())


def test_l1_rescaling_keeps_the_norm(lab: Lab) -> None:
    delta = lab.models["a"][MATRIX] - lab.models["base"][MATRIX]
    found = step(lab, weights=[1.0], densities=[0.2], rescale="l1")
    assert float(found.abs().sum()) == pytest.approx(float(delta.abs().sum()), rel=1e-4)


def test_density_0_gives_the_base(lab: Lab) -> None:
    merged = lab.merge(lab.recipe("dare_linear", "ab", densities=[0.0, 0.0], skip_1d=False))
    assert all(torch.equal(merged[n], t) for n, t in lab.models["base"].items())


def test_norms_are_left_whole_unless_asked(lab: Lab) -> None:
    delta = lab.models["a"][NORM] - lab.models["base"][NORM]
    torch.testing.assert_close(step(lab, NORM, weights=[1.0], densities=[0.5]), delta)
    dropped = step(lab, NORM, weights=[1.0], densities=[0.5], skip_1d=False)
    assert 0 < int((dropped.abs() < 1e-7).sum()) < delta.numel()


def test_seeds_and_sources_have_masks_of_their_own(lab: Lab) -> None:
    one = step(lab, weights=[1.0], densities=[0.5])
    recipe = lab.recipe("dare_linear", "a", weights=[1.0], densities=[0.5], seed=1)
    other = lab.merge(recipe)[MATRIX] - lab.models["base"][MATRIX]
    assert not torch.equal(one != 0, other != 0)


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties"])
@pytest.mark.parametrize("rescale", ["inverse_density", "l1", "none"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_compiled_loops_do_what_torch_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, rescale: str, dtype: str
) -> None:
    lab = Lab.make(tmp_path, n=3, dtype=dtype)
    given = {"weights": [0.5, -1.5, 0.7], "densities": [0.31, 1.0, 0.0]}
    recipe = lab.recipe(method, "abc", **given, rescale=rescale, scale=0.9, skip_1d=False)
    compiled = lab.merge(recipe)
    monkeypatch.setattr("evomerge.merging.native.LIBRARY", None)
    assert same(compiled, lab.merge(recipe, chunk=10_000))
