"""Models that follow a route through the layers of resident ones, without a copy of any weight.

A routed model is made of shallow twins: new module objects around the residents' own parameters.
The family's own forward runs it, so masks, rotary embeddings and caches are the family's. Each step
has its own ``layer_idx`` and so its own slot in the KV cache.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from evomerge.errors import MergeError, nearest
from evomerge.merging.route_config import PER_LAYER
from evomerge.models.architecture import infer_facts
from evomerge.recipes.recipe import Dataflow, Step

PARTS = ("embedding", "norm", "head")
"""What a dataflow names beside its layers."""

POST_NORMS = (
    ("post_attention_layernorm", "post_feedforward_layernorm"),
    ("post_self_attn_layernorm", "post_mlp_layernorm"),
)
"""Norms through which a sandwich layer (Gemma 2 and 3, GLM 4) writes into the residual stream."""

STEPS = "_route_steps"
"""Attribute of a routed model that lists its steps."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs")
"""A module's tables of hooks; a twin has its own."""


@dataclass(frozen=True)
class _Anatomy:
    """Where the pieces of a resident model are.

    Args:
        layers: Path of the list of layers, as ``model.layers``.
        parts: Part of ``PARTS`` → paths of the modules outside the layers that belong to it.
        roles: Layer, child of the layer → roles of the child's parameters, norms left out.
        numbered: Layer → paths below it of modules that know their number.
    """

    layers: str
    parts: Mapping[str, tuple[str, ...]]
    roles: Mapping[int, Mapping[str, frozenset[str]]]
    numbered: Mapping[int, tuple[str, ...]]


class RouteStep(nn.Module):
    """One step of a route: multiplies the hidden state, then calls a resident's layer.

    Args:
        layer: Twin of the layer.
        index: Place in the route, from 0.
        scale: Factor of the hidden state.

    Attributes:
        shortcut: Called instead of the layer with the step's index, the computation and the call's
            arguments; None calls the layer. A prefix cache sets it.
    """

    def __init__(self, layer: nn.Module, index: int, scale: float) -> None:
        super().__init__()
        self.layer = layer
        self.index = index
        self.scale = scale
        self.shortcut: Callable[..., Any] | None = None

    def __getattr__(self, name: str) -> Any:
        """Return what the model's forward asks its layer for, such as its kind of attention."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the layer gives for the scaled hidden state, the first argument."""
        if self.shortcut is not None:
            return self.shortcut(self.index, self._compute, args, kwargs)
        return self._compute(*args, **kwargs)

    def _compute(self, *args: Any, **kwargs: Any) -> Any:
        if self.scale != 1:
            if args:
                args = (args[0] * self.scale, *args[1:])
            else:
                kwargs["hidden_states"] = kwargs["hidden_states"] * self.scale
        return self.layer(*args, **kwargs)


class Router:
    """Builds models that follow routes.

    Args:
        residents: Source or stage → resident model; looked into at each build, so that models may
            be loaded when they are first asked for.
        base: The resident whose configuration and forward the routed models have; that of the
            embedding if None.
    """

    def __init__(self, residents: Mapping[str, nn.Module], base: str | None = None) -> None:
        self._residents = residents
        self._base = base
        self._anatomies: WeakKeyDictionary[nn.Module, _Anatomy] = WeakKeyDictionary()

    def build(self, flow: Dataflow) -> nn.Module:
        """Return a model that follows ``flow``; it shares every parameter with the residents.

        What is written to the residents' parameters later changes what it computes.

        Raises:
            MergeError: A name or layer isn't there, or the models don't fit each other.
        """
        if not flow.steps:
            raise MergeError("the route has no steps. Give at least one layer under dataflow.")
        base = self._resident(self._base or flow.embedding)
        anatomy = self._anatomy(base)
        replaced: dict[str, nn.Module] = {}
        for part in PARTS:
            donor = self._fitting(getattr(flow, part), base)
            replaced |= {path: donor.get_submodule(path) for path in anatomy.parts[part]}
        steps = [self._step(step, index, base) for index, step in enumerate(flow.steps)]
        replaced[anatomy.layers] = nn.ModuleList(steps)
        routed = _rewired(base, replaced)
        _reconfigure(routed, anatomy.layers, [self._config_of(step) for step in flow.steps])
        routed.__dict__[STEPS] = tuple(steps)
        return routed

    def _step(self, step: Step, index: int, base: nn.Module) -> RouteStep:
        donor = self._fitting(step.source, base)
        anatomy = self._anatomy(donor)
        layers = donor.get_submodule(anatomy.layers)
        assert isinstance(layers, nn.ModuleList)
        if not 0 <= step.layer < len(layers):
            raise MergeError(
                f"step {index} of the route takes layer {step.layer} of {step.source!r}, which has "
                f"layers 0 to {len(layers) - 1}."
            )
        layer = _twin(layers[step.layer])
        attention = [name for name, kinds in anatomy.roles[step.layer].items() if "attn" in kinds]
        for path in anatomy.numbered[step.layer]:
            _twin_below(layer, path).layer_idx = index
        if step.qk != 1:
            _scale_queries(layer, attention, step, index)
        if step.write != 1:
            for child in _writers(layer, anatomy.roles[step.layer], index):
                _twin_below(layer, child).register_forward_hook(_multiply(step.write))
        return RouteStep(layer, index, step.scale)

    def _config_of(self, step: Step) -> tuple[Any, int]:
        """Return the configuration that a step's layer was made with, and its number there."""
        return _text_config(self._resident(step.source).config), step.layer

    def _resident(self, name: str) -> nn.Module:
        try:
            return self._residents[name]
        except KeyError:
            known = nearest(name, list(self._residents))
            raise MergeError(f"the route takes {name!r}, which is no resident; {known}") from None

    def _fitting(self, name: str, base: nn.Module) -> nn.Module:
        """Return a resident that can be part of a model of the base's kind."""
        model = self._resident(name)
        if type(model) is not type(base):
            raise MergeError(
                f"{name!r} is a {type(model).__name__} and the route's base a "
                f"{type(base).__name__}. Choose sources of one architecture."
            )
        sizes = [_text_config(one.config).hidden_size for one in (model, base)]
        if sizes[0] != sizes[1]:
            raise MergeError(
                f"{name!r} has hidden size {sizes[0]} and the route's base {sizes[1]}. "
                "Choose sources of one hidden size."
            )
        return model

    def _anatomy(self, model: nn.Module) -> _Anatomy:
        if model not in self._anatomies:
            self._anatomies[model] = _dissect(model)
        return self._anatomies[model]


def steps_of(routed: nn.Module) -> tuple[RouteStep, ...]:
    """Return the steps of a model that a router built."""
    steps: tuple[RouteStep, ...] = routed.__dict__[STEPS]
    return steps


def _dissect(model: nn.Module) -> _Anatomy:
    """Find layers and parts of a causal language model by the names of its modules."""
    if "forward" in vars(model) or any("_hf_hook" in vars(m) for m in model.modules()):
        raise MergeError(
            "a route can't go through a model that is laid over several GPUs. "
            "Give each worker one GPU that holds the sources, or use a smaller recipe.dtype."
        )
    config: Any = model.config
    depth = _text_config(config).num_hidden_layers
    found = (
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth
    )
    path = next(found, None)
    if path is None:
        raise MergeError(f"{type(model).__name__} has no list of {depth} layers to route through.")
    named = model.named_parameters(remove_duplicate=False)
    headers = {name: (tuple(tensor.shape), "F32") for name, tensor in named}
    parts: dict[str, dict[str, None]] = {part: {} for part in PARTS}
    roles: dict[int, dict[str, set[str]]] = {layer: {} for layer in range(depth)}
    for name, facts in infer_facts(headers, config.to_dict()).items():
        if name.startswith(f"{path}."):
            number, child, *_ = name.removeprefix(f"{path}.").split(".")
            kinds = roles[int(number)].setdefault(child, set())
            kinds |= {facts.role} - {"norm"}
        else:
            # The rule by which merges to disk take what stands outside the layers.
            part = "head" if facts.role == "head" else "embedding" if facts.before else "norm"
            parts[part][name.rpartition(".")[0]] = None
    layers = model.get_submodule(path)
    assert isinstance(layers, nn.ModuleList)
    return _Anatomy(
        layers=path,
        parts={part: tuple(paths) for part, paths in parts.items()},
        roles={n: {c: frozenset(k) for c, k in found.items()} for n, found in roles.items()},
        numbered={
            number: tuple(p for p, m in layer.named_modules() if "layer_idx" in vars(m))
            for number, layer in enumerate(layers)
        },
    )


def _twin(module: nn.Module) -> nn.Module:
    """Return a new module object with the same parameters, buffers and children."""
    twin: nn.Module = module.__class__.__new__(module.__class__)
    twin.__dict__.update(module.__dict__)
    for table in ("_modules", "_buffers", *HOOKS):
        twin.__dict__[table] = copy.copy(module.__dict__[table])
    return twin


def _twin_below(root: nn.Module, path: str) -> Any:
    """Replace the modules on ``path`` below ``root``, a twin, by twins; return the last of them."""
    module = root
    for name in path.split(".") if path else ():
        child = module._modules[name]
        assert child is not None
        if not getattr(child, "_is_route_twin", False):
            child = _twin(child)
            child.__dict__["_is_route_twin"] = True
            module._modules[name] = child
        module = child
    return module


def _rewired(model: nn.Module, replaced: Mapping[str, nn.Module]) -> nn.Module:
    """Return a twin of ``model`` with other modules at some paths."""
    root = _twin(model)
    for path, module in replaced.items():
        parent, _, name = path.rpartition(".")
        _twin_below(root, parent)._modules[name] = module
    return root


def _reconfigure(routed: nn.Module, layers: str, origins: Sequence[tuple[Any, int]]) -> None:
    """Give the twins around the layers a configuration of the route's depth and kinds of layer."""
    changed: dict[int, Any] = {}
    names = layers.split(".")[:-1]
    for length in range(len(names) + 1):
        module: Any = routed.get_submodule(".".join(names[:length]))
        own = module.config
        if id(own) not in changed:
            changed[id(own)] = _route_config(own, origins)
        module.config = changed[id(own)]
        if "has_sliding_layers" in vars(module):
            kinds = _text_config(module.config).layer_types
            module.has_sliding_layers = "sliding_attention" in kinds


def _route_config(config: Any, origins: Sequence[tuple[Any, int]]) -> Any:
    """Return a copy of ``config`` for the route; what it holds is shared with the original."""
    text = _text_config(config)
    copied = copy.copy(text)
    for key in PER_LAYER:
        if isinstance(getattr(text, key, None), list):
            setattr(copied, key, [getattr(one, key)[layer] for one, layer in origins])
    copied.num_hidden_layers = len(origins)
    if text is config:
        return copied
    whole = copy.copy(config)
    for key, value in vars(config).items():
        if value is text:
            setattr(whole, key, copied)
    return whole


def _text_config(config: Any) -> Any:
    return config.get_text_config(decoder=True)


def _scale_queries(layer: nn.Module, attention: Sequence[str], step: Step, index: int) -> None:
    """Multiply the factor by which the attention of ``layer``, a twin, scales its products."""
    for name in attention:
        module = _twin_below(layer, name)
        if "scaling" not in vars(module):
            raise MergeError(
                f"step {index} of the route scales the queries of {step.source!r} (qk: {step.qk}), "
                f"and {type(module).__name__} has no scaling to multiply. Leave qk out."
            )
        module.scaling = module.scaling * step.qk


def _writers(layer: nn.Module, roles: Mapping[str, frozenset[str]], index: int) -> Sequence[str]:
    """Return the children of a layer whose outputs are added to the residual stream."""
    for norms in POST_NORMS:
        if all(norm in layer._modules for norm in norms):
            return norms
    writers = [name for name, kinds in roles.items() if kinds]
    odd = [name for name in writers if not roles[name] <= {"attn", "mlp"}]
    if odd:
        raise MergeError(
            f"step {index} of the route scales what its layer writes, and it isn't known what "
            f"{odd[0]!r} of {type(layer).__name__} writes. Leave write out."
        )
    return writers


def _multiply(factor: float) -> Callable[..., Any]:
    """Return a hook that multiplies a module's output, or the first of several."""

    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            return output * factor
        return (output[0] * factor, *output[1:])

    return hook
