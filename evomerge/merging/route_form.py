"""The form that a route's checkpoint gets: folds of its tensors, its head, its configuration.

The route goes through layers of several models, and its checkpoint has one configuration, the
base's. What that can't express is a problem, found here before anything is merged.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evomerge.merging.folding import (
    Family,
    Fold,
    fold_final_norm,
    fold_layer,
    fold_problem,
    running_scales,
)
from evomerge.merging.plan import Layout, Place
from evomerge.merging.widths import Heads, common_widths
from evomerge.models.architecture import TensorFacts, local_name
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.families import (
    full_config,
    language_part,
    norms_of_one_plus,
    tied_names,
)
from evomerge.recipes.recipe import Recipe, Step

SETTINGS = re.compile(
    r"rope|rotary|eps(ilon)?$|_act$|activation|softcap|scal(e|ing)|multiplier|alibi|parallel"
    r"|^model_type$|hidden_size$|^n_embd$|_lora_rank$|_head_dim$|^(num|n)_.*experts|expert_group"
    r"|topk|query_pre_attn|clip_qkv|chunk|norm_before|post_layernorm|use_qk_norm|attention_bias"
)
"""Settings that a layer's work depends on and that a checkpoint has once for all its layers."""

OTHER_SETTINGS = re.compile(r"^(rope_theta|no_rope_layers|rope_interleaved?_layers)$")
"""Settings that ``SETTINGS`` matches and that stand elsewhere or once a layer."""

_BY_NUMBER = "scale_attn_by_inverse_layer_idx"


@dataclass(frozen=True)
class Origin:
    """What is behind a step of a route.

    Args:
        name: The source.
        layer: Its layer.
        settings: Its full configuration, or one block of it.
    """

    name: str
    layer: int
    settings: Mapping[str, Any]


class RouteForm:
    """What a recipe's route becomes as an ordinary checkpoint.

    Args:
        recipe: A recipe with a dataflow whose names and layers exist.
        checkpoints: Source name → checkpoint.
        layouts: Source name → layout.
    """

    def __init__(
        self,
        recipe: Recipe,
        checkpoints: Mapping[str, Checkpoint],
        layouts: Mapping[str, Layout],
    ) -> None:
        assert recipe.dataflow is not None
        self._recipe = recipe
        self._flow = recipe.dataflow
        self._checkpoints = checkpoints
        self._layouts = layouts
        self._stages = {stage.name: stage for stage in recipe.stages}
        self._origins = [self.origin(step.source, step.layer) for step in self._flow.steps]
        self._running = running_scales(self._flow.steps)
        self._base = checkpoints[recipe.base]
        self._configs = {
            name: language_part(full_config(checkpoints[name].config))
            for name in dict.fromkeys([recipe.base, *(name for name, _ in self._origins)])
        }
        self._problems: list[str] = []
        layers = {name: layouts[name].layers for name, _ in self._origins}
        self.widths = common_widths(layers, self._configs, recipe.base, self._problems)
        self._family = self._family_of_base()

    def origin(self, name: str, layer: int = 0) -> tuple[str, int]:
        """Return the source and layer behind a layer of a stage: its first input's."""
        while name in self._stages:
            first = self._stages[name].inputs[0]
            name, layer = first.name, layer + first.shift
        return name, layer

    def problems(self) -> Iterator[str]:
        """Give the reasons why the route has no checkpoint, one line each."""
        yield from dict.fromkeys(self._problems)
        yield from self._setting_problems()
        yield from self._tensor_problems()
        yield from self._end_problems()
        if self._configs[self._recipe.base].get(_BY_NUMBER) and any(
            layer != index for index, (_, layer) in enumerate(self._origins)
        ):
            yield (
                f"{_BY_NUMBER} is true in the base {self._recipe.base!r}: each layer's work "
                "depends on its number, so no layer can stand elsewhere. Choose other models."
            )
        told = set()
        for index, (step, running) in enumerate(zip(self._flow.steps, self._running, strict=True)):
            reason = fold_problem(self._layer(index), step, running, self._family)
            if reason is not None and (step.source, reason) not in told:
                told.add((step.source, reason))
                yield (
                    f"dataflow.steps[{index}], layer {step.layer} of {step.source!r}: no plain "
                    f"checkpoint can express {_numbers(step, running)}: {reason}. Leave these "
                    "numbers 1 (in a search: dataflow.scales none), or choose other models."
                )

    def layer_folds(self, index: int) -> dict[str, Fold]:
        """Return local name → fold of the tensors of a step that change on their way."""
        tensors = self._layer(index)
        step = self._flow.steps[index]
        folds = fold_layer(tensors, step, self._running[index], self._family)
        own = Heads.of(self._configs[self._origins[index][0]])
        for facts in tensors:
            padding = self.widths.fold(facts, own)
            if padding is not None:
                name = local_name(facts.name)
                fold = folds.get(name, padding)
                folds[name] = replace(fold, shape=padding.shape, repeat=padding.repeat)
        return folds

    def end_fold(self, facts: TensorFacts) -> Fold | None:
        """Return the fold of a tensor outside the layers, or None."""
        return fold_final_norm(facts, self._running[-1], self._family)

    @property
    def base(self) -> str:
        """The source whose configuration the checkpoint has."""
        return self._recipe.base

    def ends(self) -> Iterator[tuple[Place, TensorFacts]]:
        """Give the tensors outside the layers, except the head, as the base has them."""
        for place, facts in self._layouts[self.base].places.items():
            if place.layer is None and facts.role != "head":
                yield place, facts

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding."""
        donor = self._checkpoints[self.origin(self._flow.head)[0]]
        return self._base.tied and donor.tied and self._flow.head == self._flow.embedding

    @property
    def base_tied(self) -> bool:
        """Whether the head is the embedding in the base."""
        return self._base.tied

    def heads(self) -> list[Place]:
        """Return the places of the head; none where it's tied."""
        if self.tied:
            return []
        for checkpoint in (self._base, *self._checkpoints.values()):
            found = [f for f in checkpoint.tensors.values() if f.role == "head"]
            if found and checkpoint.config.get("model_type") == self._base.config.get("model_type"):
                return [Place.of(facts) for facts in found]
        names = list(tied_names(self._base.config)) or ["lm_head.weight"]
        return [Place(names[0], None)]

    def embedding(self) -> Place:
        """Return the place of the embedding that a head can be tied to."""
        tied = tuple(tied_names(self._base.config).values())
        found = [f for f in self._base.tensors.values() if f.role == "embed" and len(f.shape) == 2]
        fitting = [f for f in found if any(n.endswith(f.name) or f.name.endswith(n) for n in tied)]
        return Place.of(max(fitting or found, key=lambda facts: facts.shape[0]))

    def settings(self, inside: str | None) -> tuple[Mapping[str, Any], list[Origin]]:
        """Return the base's full settings, and what is behind each step.

        Args:
            inside: Block of the configuration with the settings; None for the whole.
        """
        blocks = {}
        for name in self._configs:
            full = full_config(self._checkpoints[name].config)
            blocks[name] = full if inside is None else full.get(inside, {})
        origins = [Origin(name, layer, blocks[name]) for name, layer in self._origins]
        return blocks[self.base], origins

    def _layer(self, index: int) -> Sequence[TensorFacts]:
        name, layer = self._origins[index]
        return self._layouts[name].layers[layer]

    def _family_of_base(self) -> Family:
        config = self._configs[self._recipe.base]
        steps = self._flow.steps
        plain = all(step.is_plain for step in steps)
        gains = None if plain else norms_of_one_plus(self._base.config)
        hidden = config.get("hidden_size", config.get("n_embd", 0))
        return Family(gains, _refusal(config), hidden, _query_stripes(config, hidden))

    def _setting_problems(self) -> Iterator[str]:
        base = self._configs[self._recipe.base]
        for name, config in self._configs.items():
            different = [
                f"{key} {config.get(key)!r} instead of {base.get(key)!r}"
                for key in sorted({*base, *config})
                if self._matters(key) and config.get(key) != base.get(key)
            ]
            if different:
                yield (
                    f"source {name!r} is configured differently from the base "
                    f"{self._recipe.base!r}: {'; '.join(different)}. A checkpoint has these once "
                    "for all its layers; choose sources that agree in them."
                )

    def _matters(self, key: str) -> bool:
        if key in ("sliding_window", "use_sliding_window"):
            return not isinstance(self._configs[self._recipe.base].get("layer_types"), list)
        return bool(SETTINGS.search(key)) and not OTHER_SETTINGS.search(key)

    def _tensor_problems(self) -> Iterator[str]:
        """Tensors that layers of one source have and layers of the base don't, or the reverse."""
        base = {
            local_name(f.name) for layer in self._layouts[self._recipe.base].layers for f in layer
        }
        for name in dict.fromkeys(name for name, _ in self._origins):
            own = {local_name(f.name) for layer in self._layouts[name].layers for f in layer}
            for tensor in sorted(own ^ base):
                has, lacks = (
                    (name, self._recipe.base) if tensor in own else (self._recipe.base, name)
                )
                yield (
                    f"layers of {has!r} have a tensor {tensor!r}, and those of {lacks!r} lack it. "
                    "Choose sources of one architecture."
                )
                break

    def _end_problems(self) -> Iterator[str]:
        """Embeddings, final norms and heads of another shape than the base's."""
        flow = self._flow
        wanted = [
            (flow.embedding if facts.before else flow.norm, place) for place, facts in self.ends()
        ]
        wanted += [(flow.head, place) for place in self.heads()]
        for donor, place in wanted:
            name = self.origin(donor)[0]
            own, facts = self._end(name, place), self._end(self.base, place)
            if own is not None and facts is not None and own.shape != facts.shape:
                yield (
                    f"source {name!r} has {own.name!r} of shape {own.shape} and the base "
                    f"{self.base!r} of shape {facts.shape}. Take the base from the models "
                    "that give embedding, norm and head, with one vocabulary and one hidden size."
                )

    def _end(self, name: str, place: Place) -> TensorFacts | None:
        """Return what a source has at a place outside the layers; a tied head is its embedding."""
        places = self._layouts[name].places
        if place in places or place not in self.heads():
            return places.get(place)
        return places.get(self.embedding())


def _numbers(step: Step, running: float) -> str:
    numbers = {"scale": step.scale, "qk": step.qk, "write": step.write}
    told = [f"{name} {value}" for name, value in numbers.items() if value != 1.0]
    return ", ".join(told) or f"the product {running} of the scales before it"


def _refusal(config: Mapping[str, Any]) -> str:
    """Why layers of this configuration can't be scaled, empty if they can."""
    if config.get("model_type") == "openai-gpt" or config.get("do_layer_norm_before") is False:
        return "its norms stand after attention and MLP, so a scale changes their work"
    if config.get("apply_residual_connection_post_layernorm"):
        return (
            "its residual stream goes on from the norms (apply_residual_connection_post_layernorm)"
        )
    return ""


def _query_stripes(config: Mapping[str, Any], hidden: int) -> dict[str, tuple[int, int]]:
    """(period, count) of the queries in fused projections, by module name."""
    heads = Heads.of(config)
    kind = config.get("model_type")
    if heads is None:
        return {}
    queries, keys = heads.n_heads * heads.size, heads.n_kv_heads * heads.size
    if kind == "gpt2":
        return {"c_attn": (3 * hidden, hidden)}
    if kind in ("phi3", "phi4_multimodal", "glm4v_text"):
        return {"qkv_proj": (queries + 2 * keys, queries)}
    if kind in ("gpt_neox", "bloom"):
        return {"query_key_value": (3 * heads.size, heads.size)}
    return {}
