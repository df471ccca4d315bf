"""Inner products by block, and models made of coefficients beside models made of numbers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evomerge.errors import MergeError
from evomerge.merging.chunks import BLOCK
from evomerge.merging.gram import GramSums
from evomerge.recipes.segment_plan import SegmentSearch
from evomerge.recipes.segment_space import SegmentSpace
from evomerge.recipes.segments import chromosome, flattened
from tests.merging.lab import Lab, weights
from tests.search.segmented import dense_slerp

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.make(tmp_path_factory.mktemp("lab") / "models")


def sums_of(
    lab: Lab, names: str, groups: Sequence[str] = ("rest",), cache: Path | None = None
) -> GramSums:
    checkpoints = [lab.checkpoints[name] for name in names]
    return GramSums(checkpoints, [lab.sources[name] for name in names], groups, cache)


def flat(lab: Lab, name: str, groups: Sequence[str] = ("rest",)) -> list[Array]:
    """A model's numbers, a vector a chromosome."""
    found: dict[str, list[Array]] = {group: [] for group in groups}
    for facts in flattened(lab.checkpoints["base"].tensors.values()):
        group = chromosome(groups, facts.role)
        assert group is not None
        found[group].append(lab.models[name][facts.name].double().reshape(-1).numpy())
    return [np.concatenate(found[group]) for group in groups]


@pytest.mark.parametrize("groups", [("rest",), ("attn", "embed", "rest")])
def test_sums_are_those_of_the_flattened_sources(lab: Lab, groups: tuple[str, ...]) -> None:
    sums = sums_of(lab, "cab", groups)
    numbers = [flat(lab, name, groups) for name in "cab"]
    for index in range(len(groups)):
        rows = np.array([parts[index] for parts in numbers])
        borders, found = sums.sums(index)
        assert borders[0] == 0
        assert borders[-1] == rows.shape[1]
        for end, gram in zip(borders, found, strict=True):
            np.testing.assert_allclose(gram, rows[:, :end] @ rows[:, :end].T, rtol=1e-12)
        for start, stop in ((int(borders[0]), 1), (int(borders[-2]), int(borders[-2]) + 7)):
            part = rows[:, start:stop]
            np.testing.assert_allclose(sums.between(index, start, stop), part @ part.T)
    assert BLOCK in sums_of(lab, "ab").sums(0)[0]  # inside the embedding


def test_one_file_serves_all_groups_and_orders(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sums_of(lab, "abc", cache=tmp_path).sums(0)[1]
    files = list(tmp_path.glob("gram-*.npy"))
    assert len(files) == 1

    def refuse(*_: object) -> None:
        raise AssertionError("read the sources again")

    with monkeypatch.context() as patch:
        patch.setattr(GramSums, "_compute", refuse)
        turned = sums_of(lab, "cba", cache=tmp_path).sums(0)[1]
        assert np.array_equal(turned, first[:, ::-1, ::-1])
        sums_of(lab, "bca", ("mlp", "rest"), tmp_path).sums(1)
    files[0].write_bytes(b"torn")
    assert np.array_equal(sums_of(lab, "abc", cache=tmp_path).sums(0)[1], first)
    assert not list(tmp_path.glob("*.partial"))


def test_a_folder_that_cannot_be_written_costs_only_time(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sums = sums_of(lab, "ab", cache=tmp_path / "file" / "below").sums(0)[1]
    assert np.array_equal(sums, sums_of(lab, "ab").sums(0)[1])


def test_sources_with_nan_are_named(tmp_path: Path) -> None:
    broken = weights(1)
    broken["model.norm.weight"][3] = float("nan")
    lab = Lab(tmp_path, {"base": weights(0), "broken": broken})
    checkpoints = [lab.checkpoints[name] for name in ("base", "broken")]
    sums = GramSums(checkpoints, [lab.sources[name] for name in ("base", "broken")], ("rest",))
    with pytest.raises(MergeError, match=r"'model.norm.weight' of source 'broken' holds NaN"):
        sums.sums(0)


@pytest.mark.parametrize("groups", [("rest",), ("attn", "rest")])
def test_merged_models_are_dense_slerps_after_ten_generations(
    lab: Lab, groups: tuple[str, ...]
) -> None:
    """To the rounding of float32, with cuts inside tensors, through the engine."""
    names = ("a", "b", "c")
    search = SegmentSearch("merged.segments", names, "any", groups if len(groups) > 1 else (), "s")
    space = SegmentSpace(search, tuple(lab.checkpoints["base"].tensors.values()))
    space.products = sums_of(lab, "abc", groups)
    rng = np.random.default_rng(2)
    genomes = [space.alone(index) for index in range(3)]
    models = [flat(lab, name, groups) for name in names]
    for _ in range(10):
        one, two = rng.choice(len(genomes), size=2, replace=False)
        parts, model = [], []
        pairs = zip(space.unpack(genomes[one]), space.unpack(genomes[two]), strict=True)
        for index, (a, b) in enumerate(pairs):
            split, weight = int(rng.integers(space.sizes[index])), float(rng.random())
            parts.append(space.join(index, a, b, cut=split, weight=weight))
            model.append(dense_slerp(weight, split, models[one][index], models[two][index]))
        genomes.append(space.pack(parts))
        models.append(model)
    segments = space.decode(genomes[-1])["merged.segments"]
    merged = lab.merge(lab.recipe("segments", names, segments=segments))
    made = Lab.__new__(Lab)
    made.checkpoints, made.models = lab.checkpoints, {"made": merged}
    for found, expected in zip(flat(made, "made", groups), models[-1], strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=4 * 2.0**-24 * scale)
    assert sum(len(part.ends) for part in space.unpack(genomes[-1])) > 4
    assert all(torch.isfinite(tensor).all() for tensor in merged.values())
