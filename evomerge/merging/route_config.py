"""What config.json says of a route's checkpoint."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evomerge.errors import MergeError
from evomerge.merging.route_form import Origin, RouteForm
from evomerge.models.architecture import TEXT_CONFIGS, local_name
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.families import expected_tensors
from evomerge.models.writer import TensorSpec

DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
"""Keys of config.json that hold the number of layers."""

PER_LAYER = (
    "layer_types",
    "mlp_layer_types",
    "layers_block_type",
    "attention_layers",
    "no_rope_layers",
    "block_configs",
)
"""Keys of config.json that hold one entry a layer."""

LAYER_NUMBERS = ("mlp_only_layers", "moe_layers")
"""Keys of config.json that hold numbers of layers."""

LEADING = ("first_k_dense_replace",)
"""Keys of config.json that say that so many of the first layers are of another kind."""

PERIODS = (
    "decoder_sparse_step",
    "attn_layer_period",
    "expert_layer_period",
    "interleave_moe_layer_step",
    "full_attention_interval",
    "sliding_window_pattern",
)
"""Keys of config.json that say that every so many layers one is of another kind."""


def route_problems(form: RouteForm, config: Mapping[str, Any]) -> list[str]:
    """Return the reasons why a route has no ordinary checkpoint, one line each.

    Args:
        form: The route.
        config: The base's ``config.json``.
    """
    problems = list(form.problems())
    if not problems:
        try:
            for inside in (None, *(key for key in TEXT_CONFIGS if key in config)):
                routed_config(form, inside)
        except MergeError as error:
            problems.append(str(error))
    return problems


def check_loads(specs: Iterable[TensorSpec], changes: Mapping[str, Any], base: Checkpoint) -> None:
    """Make sure that transformers would load a route's layers as they are written.

    Args:
        specs: What is written.
        changes: Keys of ``config.json`` that differ from the base's.
        base: Where the rest of the configuration is from; if transformers doesn't load that one as
            it is written either, nothing is checked.

    Raises:
        MergeError: The configuration asks for other tensors in some layer.
    """
    own = {name: facts.shape for name, facts in base.tensors.items()}
    if _unexpected(own, base.config):
        return
    written = {spec.name: spec.shape for spec in specs}
    if problem := _unexpected(written, {**base.config, **changes}):
        raise MergeError(
            f"the route's configuration asks for {problem}: config.json has no setting for layers "
            "of these kinds in this order. Choose another order, or layers of one kind."
        )


def _unexpected(written: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]) -> str | None:
    """The first tensor in a layer that isn't as transformers expects it, or None."""
    for name, shape in (expected_tensors(config) or {}).items():
        # Outside the layers a tied head isn't written.
        if "." in local_name(name) and written.get(name) != shape:
            found = f"has shape {written[name]}" if name in written else "isn't there"
            return f"tensor {name!r} of shape {shape}, and it {found}"
    return None


def routed_config(form: RouteForm, inside: str | None) -> dict[str, Any]:
    """Return the keys of the base's configuration that a route changes.

    Depth, kinds of layers, sliding windows, widths and whether head and embedding are tied.

    Args:
        form: The route.
        inside: Block of the configuration; None for its outermost keys.

    Raises:
        MergeError: One configuration can't express the route's layers.
    """
    base, origins = form.settings(inside)
    if not any(key in base for key in DEPTHS):
        return {}
    changes: dict[str, Any] = {key: len(origins) for key in DEPTHS if key in base}
    for key in PER_LAYER:
        if isinstance(base.get(key), list):
            changes[key] = [_entry(origin, key) for origin in origins]
    for key in LAYER_NUMBERS:
        if isinstance(base.get(key), list):
            changes[key] = [
                index
                for index, origin in enumerate(origins)
                if origin.layer in (origin.settings.get(key) or [])
            ]
    for key in LEADING:
        if isinstance(base.get(key), int):
            changes[key] = _count_leading(key, origins)
    for key in PERIODS:
        period = base.get(key)
        covered = "layer_types" in changes and key in PERIODS[-2:]
        if isinstance(period, int) and period > 1 and not covered:
            _check_phase(key, period, origins)
    if "layer_types" in changes:
        changes |= _window(base, origins)
    if form.base_tied and not form.tied:
        changes["tie_word_embeddings"] = False
    return changes | form.widths.config_changes()


def _window(base: Mapping[str, Any], origins: Sequence[Origin]) -> dict[str, Any]:
    """The sliding window of the layers that have one, where the base's is another."""
    sliding = [o for o in origins if "sliding" in o.settings["layer_types"][o.layer]]
    windows = {origin.settings.get("sliding_window"): origin.name for origin in sliding}
    if len(windows) > 1:
        told = ", ".join(f"{window} in {name!r}" for window, name in windows.items())
        raise MergeError(
            f"the route's sliding windows differ: {told}. A checkpoint has one for all its "
            "layers; choose sources that agree in sliding_window."
        )
    if not windows or base.get("sliding_window") in windows:
        return {}
    changes: dict[str, Any] = {"sliding_window": next(iter(windows))}
    return changes | ({"use_sliding_window": True} if "use_sliding_window" in base else {})


def _entry(origin: Origin, key: str) -> Any:
    values = origin.settings.get(key)
    if not isinstance(values, list) or origin.layer >= len(values):
        raise MergeError(
            f"the configuration of {origin.name!r} has no {key!r} for layer {origin.layer}, which "
            "the route takes. Choose layers of models with equal configurations."
        )
    return values[origin.layer]


def _count_leading(key: str, origins: Sequence[Origin]) -> int:
    leads = [origin.layer < (origin.settings.get(key) or 0) for origin in origins]
    count = leads.index(False) if False in leads else len(leads)
    if any(leads[count:]):
        late = origins[leads.index(True, count)]
        raise MergeError(
            f"layer {late.layer} of {late.name!r} is one of the first {late.settings[key]} of its "
            f"model, which are of another kind ({key} in config.json), and comes after layers "
            "of the other kind. Put such layers first."
        )
    return count


def _check_phase(key: str, period: int, origins: Sequence[Origin]) -> None:
    for index, origin in enumerate(origins):
        if index % period != origin.layer % period:
            raise MergeError(
                f"layer {origin.layer} of {origin.name!r} becomes layer {index} of the route, but "
                f"{key} = {period} in config.json makes every {period}th layer another kind. "
                f"Cut and repeat runs of layers by multiples of {period} layers."
            )
