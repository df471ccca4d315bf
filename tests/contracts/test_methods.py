"""What every registered merge method must satisfy, built in or plugged in."""

from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.merging.registry import METHODS
from tests.merging.lab import Lab, same, weights

NAMES = METHODS.names()
N_INPUTS = {name: min(3, METHODS.get(name).declaration.max_inputs or 3) for name in METHODS.names()}


def options(name: str, n: int) -> dict[str, Any]:
    """Values that differ between the inputs, where the method takes such."""
    found: dict[str, Any] = {}
    for parameter in METHODS.get(name).declaration.parameters:
        if parameter.per_source and parameter.name == "weights":
            found["weights"] = [0.5, 0.3, 0.4][:n]
        elif parameter.per_source and parameter.name == "densities":
            found["densities"] = [0.3, 0.5, 0.7][:n]
        elif parameter.per_source and parameter.name == "seeds":
            found["seeds"] = [7, 0, 9][:n]
    return found


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lab]:
    root = tmp_path_factory.mktemp("labs")
    return {dtype: Lab.make(root / dtype, dtype=dtype) for dtype in ("float32", "bfloat16")}


@pytest.mark.parametrize("name", NAMES)
def test_keeps_names_shapes_and_dtypes(labs: dict[str, Lab], name: str) -> None:
    lab, n = labs["bfloat16"], N_INPUTS[name]
    merged = lab.merge(lab.recipe(name, "abc"[:n], **options(name, n)))
    assert sorted(merged) == sorted(lab.models["base"])
    for key, base in lab.models["base"].items():
        assert merged[key].dtype == base.dtype
        assert merged[key].shape == base.shape
        assert merged[key].isfinite().all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_chunks_do_not_matter(labs: dict[str, Lab], name: str, dtype: str) -> None:
    lab, n = labs[dtype], N_INPUTS[name]
    recipe = lab.recipe(name, "abc"[:n], **options(name, n))
    whole = lab.merge(recipe)
    for chunk in (9973, 1 << 15, 1 << 20):
        assert same(whole, lab.merge(recipe, chunk=chunk)), chunk


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_compiled_loops_and_torch_agree(
    labs: dict[str, Lab], name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, n = labs[dtype], N_INPUTS[name]
    recipe = lab.recipe(name, "abc"[:n], **options(name, n))
    compiled = lab.merge(recipe)
    monkeypatch.setattr("evomerge.merging.native.LIBRARY", None)
    assert same(compiled, lab.merge(recipe))


@pytest.mark.parametrize("name", NAMES)
def test_repeats_bit_for_bit(labs: dict[str, Lab], name: str) -> None:
    lab, n = labs["float32"], N_INPUTS[name]
    recipe = lab.recipe(name, "abc"[:n], **options(name, n))
    merger = lab.merger()
    first = dict(merger.tensors(recipe))
    assert same(first, dict(merger.tensors(recipe)))
    assert same(first, lab.merge(recipe))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "name",
    [name for name in NAMES if N_INPUTS[name] > 1 and not METHODS.get(name).value.ordered],
)
def test_inputs_may_come_in_any_order(labs: dict[str, Lab], name: str, dtype: str) -> None:
    lab = labs[dtype]
    given = options(name, 3)
    forward = lab.merge(lab.recipe(name, "abc", **given))
    turned = {key: value[1:] + value[:1] for key, value in given.items()}
    assert same(forward, lab.merge(lab.recipe(name, "bca", **turned)))


@pytest.mark.parametrize("name", [n for n in NAMES if METHODS.get(n).declaration.needs_base])
def test_models_equal_to_the_base_give_the_base(tmp_path: Path, name: str) -> None:
    base = weights(0, dtype="bfloat16")
    base["model.norm.weight"][:5] = -0.0
    lab = Lab(tmp_path, {"base": base, "a": base, "b": base, "c": base})
    merged = lab.merge(lab.recipe(name, "abc", **options(name, 3)))
    assert all(same({n: merged[n]}, {n: base[n]}) for n in base)


@pytest.mark.parametrize("name", [n for n in NAMES if METHODS.get(n).declaration.needs_base])
def test_a_zero_task_vector_changes_nothing(tmp_path: Path, name: str) -> None:
    lab = Lab.make(tmp_path / "lab", n=2)
    more = Lab(tmp_path / "more", {**lab.models, "idle": lab.models["base"]})
    given = options(name, 2)
    with_idle = {key: [*value, 1.0] for key, value in given.items()}
    without = lab.merge(lab.recipe(name, "ab", **given))
    assert same(without, more.merge(more.recipe(name, ["a", "b", "idle"], **with_idle)))


@pytest.mark.parametrize("name", NAMES)
def test_zero_rows_and_tensors_give_no_nan(tmp_path: Path, name: str) -> None:
    lab = Lab.make(tmp_path / "near")
    for tensors in lab.models.values():
        tensors["model.norm.weight"].zero_()
        tensors["lm_head.weight"][3:9] = 0
    zeroed = Lab(tmp_path / "zero", lab.models)
    n = N_INPUTS[name]
    merged = zeroed.merge(zeroed.recipe(name, "abc"[:n], **options(name, n)))
    assert all(tensor.isfinite().all() for tensor in merged.values())


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_the_rounded_result_of_float32(
    labs: dict[str, Lab], name: str, tmp_path: Path
) -> None:
    half, n = labs["bfloat16"], N_INPUTS[name]
    widened = {k: {t: v.float() for t, v in m.items()} for k, m in half.models.items()}
    full = Lab(tmp_path, widened)
    given = options(name, n)
    rounded = half.merge(half.recipe(name, "abc"[:n], **given))
    wide = full.merge(full.recipe(name, "abc"[:n], **given))
    for tensor in rounded:
        assert torch.equal(rounded[tensor], wide[tensor].bfloat16()), tensor


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_computed_in_float64(labs: dict[str, Lab], name: str, tmp_path: Path) -> None:
    single, n = labs["float32"], N_INPUTS[name]
    doubled = {k: {t: v.double() for t, v in m.items()} for k, m in single.models.items()}
    double = Lab(tmp_path, doubled)
    given = options(name, n)
    exact = double.merge(double.recipe(name, "abc"[:n], **given))
    close = single.merge(single.recipe(name, "abc"[:n], **given))
    for tensor in exact:
        assert exact[tensor].dtype == torch.float64
        torch.testing.assert_close(exact[tensor].float(), close[tensor], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_warm_starts_fit_the_declaration(name: str) -> None:
    declaration = METHODS.get(name).declaration
    inputs = ["x", "y", "z"][: N_INPUTS[name]]
    starts = declaration.warm_starts(inputs)
    assert starts
    for start in starts:
        for key, value in start.parameters.items():
            parameter = declaration.parameter(key)
            assert parameter is not None
            assert isinstance(value, list) == parameter.per_source
            values = value if isinstance(value, list) else [value]
            assert len(values) == (len(inputs) if parameter.per_source else 1)
            assert [parameter.check(item) for item in values] == [None] * len(values)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_complete(name: str) -> None:
    declaration = METHODS.get(name).declaration
    assert declaration.summary.endswith(".")
    for parameter in declaration.parameters:
        assert parameter.help.endswith(".")
        assert parameter.check(parameter.default) is None
        if parameter.searchable and parameter.kind in ("float", "int"):
            assert parameter.search_low is not None
            assert parameter.search_high is not None
            assert parameter.search_low < parameter.search_high
