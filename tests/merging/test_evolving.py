from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.errors import EvomergeError, MergeError, NotFiniteError
from evomerge.merging.evolving import Nursery, crossed
from evomerge.merging.network_registry import NETWORKS
from evomerge.recipes.lineage import Lineage, LineageSpace, lineage_recipe
from evomerge.recipes.recipe import Recipe, Source
from tests.search.segmented import dense_slerp

SIZE = 200
NETWORK = Source("network", "network:mlp", "a" * 64)

Weights = NDArray[np.float32]


def family(n: int) -> dict[str, Recipe]:
    """Two founders and ``n`` descendants, each of the two before it, by their hashes in order."""
    space = LineageSpace(NETWORK, SIZE, seed=5)
    genomes = [x for _, x in space.founders()]
    rng = np.random.default_rng(1)
    for _ in range(n):
        genomes.append(space.cross(genomes[-1], genomes[-2], rng))
    recipes = [space.recipe(space.decode(x)) for x in genomes]
    return {recipe.hash(): recipe for recipe in recipes}


def unknown(recipe_hash: str) -> Recipe:
    raise MergeError(f"no {recipe_hash}")


@pytest.mark.parametrize(("weight", "cut"), [(0.3, 77), (0.0, 10), (1.0, 199), (0.5, 0)])
def test_crossing_is_the_published_slerp(weight: float, cut: int) -> None:
    one, two = np.random.default_rng(0).normal(size=(2, SIZE)).astype(np.float32)
    child = crossed(one, two, weight=weight, cut=cut)
    expected = dense_slerp(weight, cut, one.astype(np.float64), two.astype(np.float64))
    assert child.dtype == np.float32
    np.testing.assert_allclose(child, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0])
def test_parallel_anti_parallel_and_empty_parents_are_joined_straight(factor: float) -> None:
    one = np.random.default_rng(0).normal(size=SIZE).astype(np.float32)
    two = np.float32(factor) * one
    child = crossed(one, two, weight=0.25, cut=SIZE)
    np.testing.assert_allclose(child, 0.75 * one + 0.25 * two, rtol=1e-6)


def test_weights_gone_anywhere_are_built_again_bit_for_bit(tmp_path: Path) -> None:
    recipes = family(150)
    *_, last = recipes.values()
    nursery = Nursery(SIZE, tmp_path, unknown)
    for recipe in recipes.values():
        nursery.weights(recipe)
    expected = nursery.weights(last)
    assert len(list(tmp_path.iterdir())) == len(recipes)
    alone = Nursery(SIZE, None, recipes.__getitem__)
    np.testing.assert_array_equal(alone.weights(last), expected)
    files = sorted(tmp_path.iterdir())
    for file in files[::2]:
        file.unlink()
    for file in files[1::4]:
        file.write_bytes(file.read_bytes()[:100])  # cut short
    again = Nursery(SIZE, tmp_path, recipes.__getitem__)
    np.testing.assert_array_equal(again.weights(last), expected)
    assert not list(tmp_path.glob("*.partial"))


def test_mutation_is_noise_of_its_own_seed() -> None:
    (one, *_) = recipes = list(family(1).values())
    child = recipes[-1]
    nursery = Nursery(SIZE, None, {r.hash(): r for r in recipes}.__getitem__)
    calm = dict(zip(("one", "two"), (s.sha256 for s in child.sources[1:]), strict=True))
    crossing = next(s for s in child.stages if s.method == "split_slerp").parameters
    plain = lineage_recipe(
        NETWORK, Lineage(seed=0, std=0.0, parents=tuple(calm.values()), **crossing)
    )
    noise = nursery.weights(child) - nursery.weights(plain)
    assert 0.008 < noise.std() < 0.012
    founder = nursery.weights(one)
    assert 0.008 < founder.std() < 0.012
    assert abs(np.corrcoef(noise, founder)[0, 1]) < 0.3


def test_what_is_unknown_or_not_finite_is_an_error() -> None:
    *_, child = family(1).values()
    with pytest.raises(MergeError, match="no "):
        Nursery(SIZE, None, unknown).weights(child)
    with pytest.raises(NotFiniteError), np.errstate(over="ignore"):
        Nursery(SIZE, None, unknown).weights(lineage_recipe(NETWORK, Lineage(1, 1e39)))


@pytest.mark.parametrize("layers", [[64], [64, 0, 10], [64, 2.5], ["a", "b"], []])
def test_layers_that_are_no_network_are_refused(layers: list[object]) -> None:
    with pytest.raises(EvomergeError, match="at least two whole numbers"):
        NETWORKS.get("mlp").value(layers=layers)


def test_the_published_network_has_its_size() -> None:
    module = NETWORKS.get("mlp").value(layers=[64, 256, 10])
    assert sum(parameter.numel() for parameter in module.parameters()) == 19_210
