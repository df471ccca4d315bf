"""What each tensor of a merged model is made of: a recipe's stages resolved, tensor by tensor.

Pure bookkeeping on names, shapes and coefficients; nothing is read. Equal plans mean weights that
are equal bit for bit, so plans decide what has to be rewritten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evomerge.models.architecture import TensorFacts
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.recipe import Recipe, Source, Stage
from evomerge.recipes.values import evaluate

FLOATS = frozenset({"F64", "F32", "BF16", "F16"})
BUFFERS = ("rotary_emb.inv_freq", "attn.masked_bias", ".attn.bias", "embeddings.position_ids")
"""Ends of names of constant buffers that old files store: never merged, and some may lack them."""


@dataclass(frozen=True)
class Place:
    """Where a tensor stands in a model, whatever the number of its layer.

    Args:
        pattern: Its name, with ``{}`` for the layer's number.
        layer: The layer, None outside the layers.
    """

    pattern: str
    layer: int | None

    @classmethod
    def of(cls, facts: TensorFacts) -> "Place":
        """Return the place of a checkpoint's tensor."""
        if facts.layer is None:
            return cls(facts.name, None)
        parts = facts.name.split(".")
        number = next(i for i, part in enumerate(parts) if part.isdecimal())
        return cls(".".join([*parts[:number], "{}", *parts[number + 1 :]]), facts.layer)

    @property
    def name(self) -> str:
        """The tensor's name."""
        return self.pattern if self.layer is None else self.pattern.replace("{}", str(self.layer))

    def shifted(self, shift: int) -> "Place":
        """Return the same place ``shift`` layers on."""
        return self if self.layer is None else Place(self.pattern, self.layer + shift)


@dataclass(frozen=True)
class Leaf:
    """A tensor of a source.

    Args:
        content: The source's sha256.
        tensor: The tensor's name there.
        source: What the recipe calls the source; not part of the comparison.
        facts: What is known of the tensor; not part of the comparison.
    """

    content: str
    tensor: str
    source: str = field(compare=False, repr=False)
    facts: TensorFacts = field(compare=False, repr=False)


@dataclass(frozen=True)
class Merged:
    """A tensor that a stage makes.

    Args:
        method: Registered method.
        options: Its parameters' values for this tensor.
        base: What task vectors are taken from, or None.
        inputs: What is merged, in the recipe's order.
        place: Name of the tensor (keys random masks) and its layer.
        n_layers: Layers of the stage's model.
        seed: Seed of the recipe.
        facts: Shape and role; not part of the comparison.
    """

    method: str
    options: tuple[tuple[str, Any], ...]
    base: "Node | None"
    inputs: tuple["Node", ...]
    place: Place
    n_layers: int
    seed: int
    facts: TensorFacts = field(compare=False, repr=False)


Node = Leaf | Merged


@dataclass(frozen=True)
class Output:
    """A tensor of the merged model.

    Args:
        name: Its name there.
        node: What it is made of.
        dtype: safetensors' name of its element type.
    """

    name: str
    node: Node
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.node.facts.shape


class Layout:
    """The places of a checkpoint's tensors.

    Args:
        checkpoint: The checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.n_layers = checkpoint.n_layers
        self.places = {Place.of(facts): facts for facts in checkpoint.tensors.values()}

    def outside(self) -> list[Place]:
        """Return the places outside the layers."""
        return [place for place in self.places if place.layer is None]

    def patterns(self) -> list[str]:
        """Return the patterns of the tensors in layers, in order."""
        return list(dict.fromkeys(p.pattern for p in self.places if p.layer is not None))


class Planner:
    """Resolves a recipe.

    Args:
        recipe: The recipe.
        layouts: Source name → layout.
        takes_base: Method → whether it takes a base.
    """

    def __init__(
        self, recipe: Recipe, layouts: Mapping[str, Layout], takes_base: Mapping[str, bool]
    ) -> None:
        self._recipe = recipe
        self._layouts = layouts
        self._takes_base = takes_base
        self._sources: dict[str, Source] = {source.name: source for source in recipe.sources}
        self._stages: dict[str, Stage] = {stage.name: stage for stage in recipe.stages}
        self._depths: dict[str, int] = {}

    def outputs(self) -> list[Output]:
        """Return what the merged model consists of, in the order in which it is written."""
        if self._recipe.dataflow is not None:
            return self._stacked()
        base = self._layouts[self._recipe.base]
        last = self._recipe.stages[-1].name
        return [
            self._output(place.name, facts, self.node(last, place) or self._leaf_of_base(place))
            for place, facts in base.places.items()
        ]

    def depth(self, name: str) -> int:
        """Return the number of layers of a source or stage."""
        if name in self._layouts:
            return self._layouts[name].n_layers
        if name not in self._depths:
            inputs = self._stages[name].inputs
            self._depths[name] = min(self.depth(item.name) - item.shift for item in inputs)
        return self._depths[name]

    def layout(self, name: str) -> Layout:
        """Return the layout of a source, or of a stage's first input."""
        while name not in self._layouts:
            name = self._stages[name].inputs[0].name
        return self._layouts[name]

    def node(self, name: str, place: Place) -> Node | None:
        """Return what stands at ``place`` in a source or stage; None where no input has it."""
        if name in self._layouts:
            facts = self._layouts[name].places.get(place)
            return (
                None if facts is None else Leaf(self._sources[name].sha256, facts.name, name, facts)
            )
        stage = self._stages[name]
        found = [
            (index, node)
            for index, item in enumerate(stage.inputs)
            if (node := self.node(item.name, place.shifted(item.shift))) is not None
        ]
        if not found:
            return None
        takes_base = stage.base is not None and self._takes_base[stage.method]
        base = self.node(stage.base, place) if takes_base and stage.base is not None else None
        first = (base or found[0][1]).facts
        if first.dtype not in FLOATS or first.name.endswith(BUFFERS):
            return base or found[0][1]
        facts = TensorFacts(
            place.name, first.shape, first.dtype, place.layer, first.role, first.before
        )
        n_layers = self.depth(name)
        present = [index for index, _ in found]
        return Merged(
            method=stage.method,
            options=_resolve(stage, present, facts, n_layers),
            base=base,
            inputs=tuple(node for _, node in found),
            place=place,
            n_layers=n_layers,
            seed=self._recipe.seed,
            facts=facts,
        )

    def _leaf_of_base(self, place: Place) -> Leaf:
        leaf = self.node(self._recipe.base, place)
        assert isinstance(leaf, Leaf)
        return leaf

    def _output(self, name: str, facts: TensorFacts, node: Node) -> Output:
        dtype = facts.dtype
        if self._recipe.dtype is not None and dtype in FLOATS:
            dtype = SAFETENSORS_DTYPES[self._recipe.dtype]
        return Output(name, node, dtype)

    def _stacked(self) -> list[Output]:
        """The tensors of a layer stack: what stands before the layers, the segments, the rest."""
        flow = self._recipe.dataflow
        assert flow is not None
        before: list[Output] = []
        after: list[Output] = []
        for place, facts in self._layouts[self._recipe.base].places.items():
            if place.layer is not None:
                continue
            origin = (
                flow.head if facts.role == "head" else flow.embed if facts.before else flow.norm
            )
            node = self.node(origin, place) or self._leaf_of_base(place)
            (before if facts.before else after).append(self._output(place.name, facts, node))
        middle = []
        depth = 0
        for segment in flow.segments:
            for layer in range(segment.start, segment.stop):
                for pattern in self.layout(segment.name).patterns():
                    found = self.node(segment.name, Place(pattern, layer))
                    if found is not None:
                        name = Place(pattern, depth).name
                        middle.append(self._output(name, found.facts, found))
                depth += 1
        return [*before, *middle, *after]


SAFETENSORS_DTYPES = {"float64": "F64", "float32": "F32", "bfloat16": "BF16", "float16": "F16"}


def _resolve(
    stage: Stage, present: Sequence[int], facts: TensorFacts, n_layers: int
) -> tuple[tuple[str, Any], ...]:
    """The stage's parameters for one tensor, per-source ones cut to the inputs that have it."""
    return tuple(
        (
            name,
            tuple(evaluate(value[index], facts, n_layers) for index in present)
            if isinstance(value, tuple)
            else evaluate(value, facts, n_layers),
        )
        for name, value in stage.parameters.items()
    )
