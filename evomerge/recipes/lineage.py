"""Networks evolved from scratch: recipes that are lineage and seeds, and the space of all such.

A recipe names its parents by the hashes of their recipes, as it names other sources by the hashes
of their content: one recipe, one network. Nothing here holds a weight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import RecipeError
from evomerge.recipes.recipe import Recipe, Source, Stage, StageInput
from evomerge.recipes.space import Genome, SearchSpace

NETWORK = "network"
"""Source that stands for the architecture, which has no weights of its own."""
PARENTS = ("one", "two")
RANDOM, CROSSED, MUTATED = "random_network", "split_slerp", "gaussian"
"""Steps of a network's making, as its recipe names them."""
SEEDS = 1 << 48
"""Seeds lie below this, so that an encoding holds them exactly."""
WORDS = 8
"""Numbers of 32 bits in which an encoding holds a recipe's hash."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Lineage:
    """How a network came about.

    Args:
        seed: Of the numbers that it was drawn from, or that its mutation was.
        std: Their standard deviation; 0 for no mutation.
        parents: Hashes of both parents' recipes; empty for a founder.
        weight: What the second parent has before the cut; it has 1 − ``weight`` from there on.
        cut: Flat index of the cut; 0: there is none, and the second has 1 − ``weight`` throughout.
    """

    seed: int
    std: float
    parents: tuple[str, ...] = ()
    weight: float = 0.0
    cut: int = 0


def lineage_recipe(network: Source, lineage: Lineage) -> Recipe:
    """Return the recipe of a network.

    Args:
        network: Stands for the architecture.
        lineage: How the network came about.
    """
    noise = {"seed": lineage.seed, "std": lineage.std}
    if not lineage.parents:
        return Recipe((network,), NETWORK, (Stage("founder", RANDOM, (), None, noise),))
    parents = [
        Source(name, f"recipe:{digest}", digest)
        for name, digest in zip(PARENTS, lineage.parents, strict=True)
    ]
    cut = {"cut": lineage.cut, "weight": lineage.weight}
    inputs = tuple(StageInput(name) for name in PARENTS)
    stages = [Stage("child", CROSSED, inputs, None, cut)]
    if lineage.std:
        stages.append(Stage("mutant", MUTATED, (StageInput("child"),), None, noise))
    return Recipe((network, *parents), NETWORK, tuple(stages))


def lineage_of(recipe: Recipe) -> Lineage:
    """Return how the network of ``recipe`` came about."""
    settings = {stage.method: stage.parameters for stage in recipe.stages}
    return _lineage(settings, tuple(source.sha256 for source in recipe.sources[1:]))


def is_lineage(plain: Mapping[str, Any]) -> bool:
    """Say if a recipe's plain form is that of an evolved network."""
    return str(plain["sources"].get(plain["base"], {}).get("path")).startswith(f"{NETWORK}:")


def parse_lineage(plain: Mapping[str, Any]) -> Recipe:
    """Return the recipe whose plain form the ledger holds."""
    network = Source(NETWORK, **plain["sources"][NETWORK])
    settings = {stage["method"]: stage["options"] for stage in plain["parameters"]}
    named = plain["sources"]
    parents = tuple(named[name]["sha256"] for name in PARENTS if name in named)
    return lineage_recipe(network, _lineage(settings, parents))


class LineageSpace(SearchSpace):
    """All networks that can come from some random ones by crossing and mutating.

    A genome is ``{"seed": S}`` for a founder and ``{"parents": [HASH, HASH], "weight": W, "cut": I,
    "seed": S}`` for a child. Its encoding is no point of a cube: the seed, or both hashes in words
    of 32 bits, weight, cut and seed.

    Args:
        network: Stands for the architecture.
        size: Its parameters.
        founders: Random networks that a search begins with.
        std: Standard deviation of their parameters.
        mutation: That of the noise that each child gets; 0 for none.
        seed: Of the founders.
    """

    is_cube = False

    def __init__(
        self,
        network: Source,
        size: int,
        *,
        founders: int = 2,
        std: float = 0.01,
        mutation: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__(())
        self.network = network
        self.size = size
        self._std = std
        self._mutation = mutation
        drawn = np.random.default_rng((seed, SEEDS)).integers(SEEDS, size=founders)
        self._founders = [np.array([value], dtype=np.float64) for value in drawn]

    @property
    def n_dims(self) -> int:
        """Length of the shortest encodings, those of founders."""
        return 1

    @property
    def summary(self) -> str:
        """What there is to search, in a few words."""
        return f"networks of {self.size:,} parameters from scratch"

    def founders(self) -> Sequence[tuple[str, Array]]:
        """Return (label, encoding) of the random networks that a search begins with."""
        return [(f"random:{index}", genome) for index, genome in enumerate(self._founders)]

    def cross(
        self, one: Array, two: Array, rng: np.random.Generator, *, split: bool = True
    ) -> Array:
        """Return the encoding of a child of two networks, mutated by its own seed."""
        cut = int(rng.integers(self.size)) if split else 0
        rest = [rng.random(), cut, int(rng.integers(SEEDS)) if self._mutation else 0]
        words = [self._words(parent) for parent in (one, two)]
        return np.concatenate([*words, rest]).astype(np.float64)

    def encode(self, genome: Genome) -> Array:
        """Return the encoding of ``genome``.

        Raises:
            RecipeError: It is no genome of this space.
        """
        try:
            if "parents" not in genome:
                return np.array([genome["seed"]], dtype=np.float64)
            words = [_words(digest) for digest in genome["parents"]]
            rest = [genome["weight"], genome["cut"], genome["seed"]]
            return np.concatenate([*words, rest]).astype(np.float64)
        except (KeyError, TypeError, ValueError):
            raise RecipeError(f"{dict(genome)} is no network's lineage.") from None

    def decode(self, x: Array) -> dict[str, Any]:
        """Return the genome that ``x`` stands for.

        Raises:
            RecipeError: ``x`` is no encoding of this space.
        """
        if len(x) == 1:
            return {"seed": int(x[0])}
        if len(x) != 2 * WORDS + 3:
            raise RecipeError(f"got an encoding of length {len(x)}, which no network has.")
        digests = ["".join(f"{int(word):08x}" for word in half) for half in np.split(x[:-3], 2)]
        weight, cut, seed = x[-3:]
        return {"parents": digests, "weight": float(weight), "cut": int(cut), "seed": int(seed)}

    def snap(self, x: Array) -> Array:
        """Return ``x``: every encoding is exact."""
        return x

    def active(self, x: Array) -> NDArray[np.bool_]:
        """Return that all numbers of ``x`` count."""
        return np.ones(np.shape(x), dtype=bool)

    def middle(self) -> Array:
        """Return the encoding of the first founder."""
        return self._founders[0]

    def draw(self, rng: np.random.Generator) -> Array:
        """Return the encoding of a new random network."""
        return np.array([rng.integers(SEEDS)], dtype=np.float64)

    def recipe(self, genome: Genome) -> Recipe:
        """Return the recipe of ``genome``."""
        given = dict(genome)
        parents = tuple(given.pop("parents", ()))
        std = self._mutation if parents else self._std
        return lineage_recipe(self.network, Lineage(**given, std=std, parents=parents))

    def genome_of(self, recipe: Recipe) -> dict[str, Any]:
        """Return the genome of an evolved network's ``recipe``."""
        lineage = lineage_of(recipe)
        if not lineage.parents:
            return {"seed": lineage.seed}
        return {
            "parents": list(lineage.parents),
            "weight": lineage.weight,
            "cut": lineage.cut,
            "seed": lineage.seed,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return a plain form for the ledger."""
        return {"genes": [], "lineage": {"network": self.network.path, "parameters": self.size}}

    def _words(self, genome: Array) -> Array:
        return _words(self.recipe(self.decode(genome)).hash())


def _lineage(settings: Mapping[str, Mapping[str, Any]], parents: tuple[str, ...]) -> Lineage:
    """A lineage from the settings of its recipe's steps."""
    noise = settings.get(RANDOM) or settings.get(MUTATED) or {"seed": 0, "std": 0.0}
    crossing = settings.get(CROSSED, {})
    return Lineage(
        seed=noise["seed"],
        std=noise["std"],
        parents=parents,
        weight=crossing.get("weight", 0.0),
        cut=crossing.get("cut", 0),
    )


def _words(digest: str) -> Array:
    """A recipe's hash as ``WORDS`` numbers of 32 bits."""
    words = [int(digest[place : place + 8], 16) for place in range(0, 8 * WORDS, 8)]
    return np.array(words, dtype=np.float64)
