"""What each tensor of a merged model is made of: a recipe's stages resolved, tensor by tensor.

Pure bookkeeping on names, shapes and coefficients; nothing is read. Equal nodes mean weights that
are equal bit for bit, so nodes decide what has to be rewritten.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from evomerge.merging.folding import Fold
from evomerge.models.architecture import FLOATS, TensorFacts
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.recipe import Recipe, Source, Stage
from evomerge.recipes.segments import SEGMENTS, FlatPlace, flat_places, runs_at, uniform
from evomerge.recipes.values import Value, evaluate


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

    @cached_property
    def key(self) -> str:
        """A text that says what it contains."""
        return f"{self.content} {self.tensor}"


@dataclass(frozen=True)
class Frame:
    """What is the same in all recipes of one form about a tensor that a stage makes.

    Args:
        stage: Index of the stage.
        method: Its method.
        place: Name of the tensor (keys random masks) and its layer.
        n_layers: Layers of the stage's model.
        present: Which of the stage's inputs have the tensor.
        base: What task vectors are taken from, or None.
        inputs: What is merged, in the recipe's order.
        double: Something in it is stored in float64, and so it's computed in float64.
        facts: Shape and role; not part of the comparison.
        flat: (methods with ``flattened``) where it stands in the stage's flattened model.
    """

    stage: int
    method: str
    place: Place
    n_layers: int
    present: tuple[int, ...]
    base: "Frame | Leaf | None"
    inputs: tuple["Frame | Leaf", ...]
    double: bool
    facts: TensorFacts = field(compare=False, repr=False)
    flat: FlatPlace | None = None


@dataclass(frozen=True)
class Merged:
    """A tensor that a stage makes, with its coefficients.

    Args:
        options: The stage's parameters' values for this tensor.
        base: What task vectors are taken from, or None.
        inputs: What is merged, in the recipe's order.
        seed: Seed of the recipe.
        frame: The rest.
    """

    options: tuple[tuple[str, Any], ...]
    base: "Node | None"
    inputs: tuple["Node", ...]
    seed: int
    frame: Frame

    @property
    def facts(self) -> TensorFacts:
        """Shape and role."""
        return self.frame.facts


Node = Leaf | Merged


@dataclass(frozen=True)
class Output:
    """A tensor of the merged model.

    Args:
        name: Its name there.
        frame: What it is made of, without coefficients.
        dtype: safetensors' name of its element type.
        fold: (routes) what becomes of it then.
    """

    name: str
    frame: Frame | Leaf
    dtype: str
    fold: Fold | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.frame.facts.shape if self.fold is None else self.fold.shape


def fill(frame: Frame | Leaf, recipe: Recipe) -> Node:
    """Return ``frame`` with the coefficients of ``recipe``, which has its form."""
    if isinstance(frame, Leaf):
        return frame
    inputs: tuple[Node, ...] = frame.inputs  # type: ignore[assignment]  # filled below
    base: Any = frame.base
    if any(isinstance(item, Frame) for item in inputs):
        inputs = tuple(fill(item, recipe) for item in frame.inputs)
    if isinstance(base, Frame):
        base = fill(base, recipe)
    stage = recipe.stages[frame.stage]
    options = tuple(
        (
            name,
            tuple([_for_tensor(value[i], frame) for i in frame.present])
            if isinstance(value, tuple)
            else _for_tensor(value, frame),
        )
        for name, value in stage.parameters.items()
        if frame.flat is None or name != SEGMENTS
    )
    if frame.flat is not None:
        segments = stage.parameters[SEGMENTS] or uniform(len(stage.inputs))
        options += ((SEGMENTS, runs_at(segments, frame.flat, frame.present)),)
    return Merged(options, base, inputs, recipe.seed, frame)


def _for_tensor(value: Value, frame: Frame) -> Any:
    """The value of a parameter for one tensor; most are plain numbers, and this runs very often."""
    plain = type(value) is float
    return value if plain else evaluate(value, frame.facts, frame.n_layers)


class Layout:
    """The places of a checkpoint's tensors.

    Args:
        checkpoint: The checkpoint.

    Attributes:
        n_layers: Number of layers.
        places: Place → facts of the tensor.
        layers: The tensors of each layer.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.n_layers = checkpoint.n_layers
        self.places = {Place.of(facts): facts for facts in checkpoint.tensors.values()}
        self.layers: list[list[TensorFacts]] = [[] for _ in range(self.n_layers)]
        for place, facts in self.places.items():
            if place.layer is not None:
                self.layers[place.layer].append(facts)

    def outside(self) -> list[Place]:
        """Return the places outside the layers."""
        return [place for place in self.places if place.layer is None]

    @cached_property
    def patterns(self) -> list[str]:
        """Patterns of the tensors in layers, in order."""
        return list(dict.fromkeys(p.pattern for p in self.places if p.layer is not None))


class Planner:
    """Finds what a recipe's tensors are made of; recipes of one form have equal plans.

    Args:
        recipe: Any recipe of that form; its coefficients don't matter.
        layouts: Source name → layout.
        takes_base: Method → whether it takes a base.
        flattened: Methods with coefficients by flat index of the whole model.
    """

    def __init__(
        self,
        recipe: Recipe,
        layouts: Mapping[str, Layout],
        takes_base: Mapping[str, bool],
        flattened: Collection[str] = (),
    ) -> None:
        self._recipe = recipe
        self._layouts = layouts
        self._takes_base = takes_base
        self._flattened = flattened
        self._flat: dict[str, dict[str, FlatPlace]] = {}
        self._sources: dict[str, Source] = {source.name: source for source in recipe.sources}
        self._stages: dict[str, Stage] = {stage.name: stage for stage in recipe.stages}
        self._depths: dict[str, int] = {}

    def outputs(self) -> list[Output]:
        """Return what the last stage's model consists of, in the order in which it is written."""
        base = self._layouts[self._recipe.base]
        last = self._recipe.stages[-1].name
        return [
            self.output(place.name, facts, self.frame(last, place) or self._leaf_of_base(place))
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

    def frame(self, name: str, place: Place) -> Frame | Leaf | None:
        """Return what stands at ``place`` in a source or stage; None where no input has it."""
        if name in self._layouts:
            leaf = self._layouts[name].places.get(place)
            return None if leaf is None else Leaf(self._sources[name].sha256, leaf.name, name, leaf)
        stage = self._stages[name]
        found = [
            (index, frame)
            for index, item in enumerate(stage.inputs)
            if (frame := self.frame(item.name, place.shifted(item.shift))) is not None
        ]
        if not found:
            return None
        takes_base = stage.base is not None and self._takes_base[stage.method]
        base = self.frame(stage.base, place) if takes_base and stage.base is not None else None
        first = (base or found[0][1]).facts
        if not first.is_merged:
            return base or found[0][1]
        parts = [*([base] if base is not None else []), *(frame for _, frame in found)]
        return Frame(
            stage=self._recipe.stages.index(stage),
            method=stage.method,
            place=place,
            n_layers=self.depth(name),
            present=tuple(index for index, _ in found),
            base=base,
            inputs=tuple(frame for _, frame in found),
            double=any(is_double(part) for part in parts),
            facts=TensorFacts(
                place.name, first.shape, first.dtype, place.layer, first.role, first.before
            ),
            flat=self._flat_place(stage, place),
        )

    def _flat_place(self, stage: Stage, place: Place) -> FlatPlace | None:
        """Where a tensor stands in the flattened model of a stage, if its method asks for that."""
        if stage.method not in self._flattened:
            return None
        if stage.name not in self._flat:
            self._flat[stage.name] = flat_places(
                replace(facts, name=place.name, layer=place.layer)
                for place, facts in self._places(stage.name).items()
                if facts.is_merged
            )
        return self._flat[stage.name][place.name]

    def _places(self, name: str) -> dict[Place, TensorFacts]:
        """The places of a source's or stage's tensors; the first input that has one counts."""
        if name in self._layouts:
            return self._layouts[name].places
        found: dict[Place, TensorFacts] = {}
        for item in self._stages[name].inputs:
            for place, facts in self._places(item.name).items():
                found.setdefault(place.shifted(-item.shift), facts)
        depth = self.depth(name)
        return {
            place: facts
            for place, facts in found.items()
            if place.layer is None or 0 <= place.layer < depth
        }

    def _leaf_of_base(self, place: Place) -> Leaf:
        leaf = self.frame(self._recipe.base, place)
        assert isinstance(leaf, Leaf)
        return leaf

    def output(
        self, name: str, facts: TensorFacts, frame: Frame | Leaf, fold: Fold | None = None
    ) -> Output:
        """Return a tensor of the result that ``frame`` is for; ``facts`` tell its dtype."""
        dtype = facts.dtype
        if self._recipe.dtype is not None and dtype in FLOATS:
            dtype = SAFETENSORS_DTYPES[self._recipe.dtype]
        return Output(name, frame, dtype, fold)


SAFETENSORS_DTYPES = {"float64": "F64", "float32": "F32", "bfloat16": "BF16", "float16": "F16"}


def is_double(frame: Frame | Leaf) -> bool:
    """Tell whether something in ``frame`` is stored in float64."""
    return frame.facts.dtype == "F64" if isinstance(frame, Leaf) else frame.double
