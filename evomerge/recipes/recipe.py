"""The recipe: full, self-contained instructions for one merged model, and their hash.

The hash covers what the sources contain (their sha256), never their names or where they lie. Two
recipes with the same hash give the same weights bit for bit within one numeric class.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.errors import RecipeError
from evomerge.recipes.values import Value

SCHEMA_VERSION = 1
DTYPES = ("float32", "bfloat16", "float16", "float64")
STEP_NUMBERS = ("scale", "qk", "write")
"""Numbers of a step, 1 where they aren't given."""
FLOW_ENDS = ("embedding", "norm", "head")
"""What a dataflow names beside its steps."""


@dataclass(frozen=True)
class Source:
    """A model that may contribute weights, pinned by content.

    Args:
        name: What the recipe calls it.
        path: Local folder, or a hub id with ``revision``.
        sha256: Hash of its content (weights and configuration, 64 hex digits).
        revision: (hub id) the commit.
        tokenizer_sha256: Hash of its tokenizer files; empty where it has none.
        trust_remote_code: The user allows this source to bring code.
    """

    name: str
    path: str
    sha256: str
    revision: str | None = None
    tokenizer_sha256: str = ""
    trust_remote_code: bool = False


@dataclass(frozen=True)
class StageInput:
    """One input of a stage: a source or an earlier stage.

    Args:
        name: The source or stage.
        shift: Layer ℓ of the stage reads layer ℓ + shift of this input (mergekit's slices of
            unequal ranges).
    """

    name: str
    shift: int = 0


@dataclass(frozen=True)
class Stage:
    """One method over named inputs.

    Args:
        name: What later stages and the dataflow call its output.
        method: Registered method.
        inputs: What is merged, in order; the base isn't among them.
        base: The source or stage that task vectors are taken from, where the method needs one.
        parameters: Every declared parameter, defaults filled in; Value, or for per-source ones a
            tuple with one Value an input.
    """

    name: str
    method: str
    inputs: tuple[StageInput, ...]
    base: str | None
    parameters: Mapping[str, Value | tuple[Value, ...]]


@dataclass(frozen=True)
class Step:
    """One layer that the data flows through.

    With x = ``scale``·h, the step gives x plus ``write`` times what the layer's attention and MLP
    add to it (arXiv:2403.13187 scales the whole hidden state alike).

    Args:
        source: The source or stage that the layer belongs to.
        layer: Its index there.
        scale: Factor on the hidden state before the layer, the residual stream included; not 0.
        qk: Factor on the layer's products of queries and keys, above 0: attention kernels don't
            take others.
        write: Factor on what its attention and MLP write into the residual stream.

    Raises:
        RecipeError: ``scale`` is 0, ``qk`` is 0 or less, or a number is NaN or infinite.
    """

    source: str
    layer: int
    scale: float = 1.0
    qk: float = 1.0
    write: float = 1.0

    def __post_init__(self) -> None:
        for name in STEP_NUMBERS:
            value = float(getattr(self, name))
            object.__setattr__(self, name, value)  # 2 and 2.0 are one recipe
            refused = {"scale": value == 0, "qk": value <= 0}.get(name, False)
            if refused or not math.isfinite(value):
                wanted = {"scale": " other than 0", "qk": " above 0"}
                expected = f"a finite number{wanted.get(name, '')}"
                raise RecipeError(
                    f"layer {self.layer} of {self.source!r} has {name} {value}, expected "
                    f"{expected}. Change it under dataflow.steps."
                )

    @property
    def is_plain(self) -> bool:
        """Whether the layer is used as it is, all numbers being 1."""
        return self.scale == self.qk == self.write == 1.0


@dataclass(frozen=True)
class Dataflow:
    """The layers that the data flows through, in order, and what stands around them.

    Args:
        steps: The layers.
        embedding: The source or stage that gives the embedding and all else before the layers.
        norm: The one that gives the final norm and all else after them, except the head.
        head: The one that gives the head.
    """

    steps: tuple[Step, ...]
    embedding: str
    norm: str
    head: str


@dataclass(frozen=True)
class Recipe:
    """Full instructions for one merged model.

    Args:
        sources: All sources, in the user's order, which is part of the hash.
        base: The source that configuration, tokenizer and copied buffers come from.
        stages: Methods, in order; the last one's output is the model unless there is a dataflow.
        dtype: Element type of the merged floating tensors, one of ``DTYPES``; None keeps the
            base's, tensor by tensor.
        tokenizer: The source whose tokenizer the result carries.
        dataflow: A route through layers, or None for all layers of the last stage.
        seed: Key of the stochastic methods' generators.
    """

    sources: tuple[Source, ...]
    base: str
    stages: tuple[Stage, ...]
    dtype: str | None = None
    tokenizer: str = ""
    dataflow: Dataflow | None = None
    seed: int = 0
    _hash: list[str] = field(default_factory=list, compare=False, repr=False)

    def source(self, name: str) -> Source:
        """Return the source called ``name``."""
        return next(source for source in self.sources if source.name == name)

    def hash(self) -> str:
        """Return the content hash, 64 hex digits."""
        if not self._hash:
            form = json.dumps(
                self._anonymous(), sort_keys=True, separators=(",", ":"), allow_nan=False
            )
            self._hash.append(hashlib.sha256(form.encode()).hexdigest())
        return self._hash[0]

    def to_dict(self) -> dict[str, Any]:
        """Return the canonical plain form, which ``evomerge merge`` reads back."""
        dataflow = None
        if self.dataflow is not None:
            dataflow = {
                **{part: getattr(self.dataflow, part) for part in FLOW_ENDS},
                "steps": [_step_dict(step) for step in self.dataflow.steps],
            }
        return {
            "evomerge_recipe": SCHEMA_VERSION,
            "sources": {s.name: _source_dict(s) for s in self.sources},
            "base": self.base,
            "parameters": [_stage_dict(stage) for stage in self.stages],
            "dataflow": dataflow,
            "dtype": self.dtype,
            "tokenizer": self.tokenizer,
            "seed": self.seed,
        }

    def _anonymous(self) -> dict[str, Any]:
        """The canonical form with names replaced by position, so that renaming changes no hash."""
        alias = {s.name: f"source:{index}" for index, s in enumerate(self.sources)}
        alias |= {s.name: f"stage:{index}" for index, s in enumerate(self.stages)}
        plain = self.to_dict()
        plain["sources"] = [[s.sha256, s.tokenizer_sha256] for s in self.sources]
        plain["base"] = alias[self.base]
        plain["tokenizer"] = alias.get(self.tokenizer, "")
        for stage in plain["parameters"]:
            stage["name"] = alias[stage["name"]]
            stage["base"] = alias.get(stage["base"] or "", "")
            for item in stage["inputs"]:
                item["source"] = alias[item["source"]]
        if plain["dataflow"]:
            flow = plain["dataflow"]
            for step in flow["steps"]:
                step["source"] = alias[step["source"]]
            flow |= {part: alias[flow[part]] for part in FLOW_ENDS}
        return plain


def _source_dict(source: Source) -> dict[str, Any]:
    plain: dict[str, Any] = {"path": source.path, "sha256": source.sha256}
    plain |= {"revision": source.revision} if source.revision else {}
    plain |= {"tokenizer_sha256": source.tokenizer_sha256} if source.tokenizer_sha256 else {}
    plain |= {"trust_remote_code": True} if source.trust_remote_code else {}
    return plain


def _step_dict(step: Step) -> dict[str, Any]:
    numbers = {name: getattr(step, name) for name in STEP_NUMBERS}
    changed = {name: value for name, value in numbers.items() if value != 1}
    return {"source": step.source, "layer": step.layer, **changed}


def _stage_dict(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "method": stage.method,
        "inputs": [{"source": i.name, "shift": i.shift} for i in stage.inputs],
        "base": stage.base,
        "options": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in sorted(stage.parameters.items())
        },
    }
