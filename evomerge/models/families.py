"""What transformers knows of a configuration beyond its text: defaults, ties, forms of norms."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from evomerge.models.architecture import TEXT_CONFIGS, local_name

CACHED = 64
"""Configurations whose answers are remembered."""


def full_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``config`` with transformers' defaults filled in, as it loads it.

    So files of different ages can be compared: an old ``rope_theta`` comes as ``rope_parameters``,
    and ``layer_types`` that only a period gave are written out. Settings of a language tower stand
    where they stand in the file. A model type that transformers doesn't know comes as it is.
    """
    return dict(_remembered(_full_config, config))


def language_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the block of a configuration that describes the language model."""
    for key in TEXT_CONFIGS:
        if isinstance(config.get(key), Mapping):
            block: Mapping[str, Any] = config[key]
            return block
    return config


def tied_names(config: Mapping[str, Any]) -> Mapping[str, str]:
    """Return name of the head → name of the embedding that it can be tied to; in-memory names."""
    return dict(_remembered(_tied_names, config))


def norms_of_one_plus(config: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the norms whose gain is 1 + weight, as Gemma's.

    Found by asking: a norm whose weight is 0 gives 0 unless its gain is 1 + weight.

    Returns:
        Names of the modules inside a layer (``input_layernorm``, ``self_attn.q_norm``), or of the
        module alone outside the layers (``norm``); None where transformers can't build the model.
    """
    found: frozenset[str] | None = _remembered(_norms_of_one_plus, config)
    return found


def expected_tensors(config: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]] | None:
    """Return name on disk → shape of what transformers loads for a configuration.

    Where the head is tied to the embedding, both are in it. None where transformers can't build the
    model.
    """
    found: Mapping[str, tuple[int, ...]] | None = _remembered(_expected_tensors, config)
    return found


def _remembered(function: Callable[[str], Any], config: Mapping[str, Any]) -> Any:
    return _answer(function, json.dumps(config, sort_keys=True, default=str))


@lru_cache(maxsize=CACHED)
def _answer(function: Callable[[str], Any], text: str) -> Any:
    return function(text)


def _config_of(text: str) -> Any:
    """Return transformers' configuration object, or None where it knows no such model type."""
    from transformers import AutoConfig

    plain = json.loads(text)
    kind = plain.pop("model_type", None)
    try:
        return AutoConfig.for_model(kind, **plain)
    except Exception:  # noqa: BLE001  whatever a configuration of any class raises on odd values
        return None


def _full_config(text: str) -> Mapping[str, Any]:
    config = _config_of(text)
    plain: Mapping[str, Any] = json.loads(text) if config is None else config.to_dict()
    return plain


def _model_class(config: Any) -> Any:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    return MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)


def _tied_names(text: str) -> Mapping[str, str]:
    config = _config_of(text)
    keys = getattr(_model_class(config), "_tied_weights_keys", None)
    return keys if isinstance(keys, Mapping) else {}


def _bare_model(text: str) -> Any:
    """Return a model whose tensors have no memory, or None where transformers can't build it."""
    import torch

    config = _config_of(text)
    kind = None if config is None else _model_class(config)
    try:
        with torch.device("meta"):
            return None if kind is None else kind(config)
    except Exception:  # noqa: BLE001  the class refuses its configuration, in whatever way
        return None


def _expected_tensors(text: str) -> Mapping[str, tuple[int, ...]] | None:
    from transformers.core_model_loading import revert_weight_conversion

    model = _bare_model(text)
    if model is None:
        return None
    state: Any = dict(model.state_dict())
    try:
        stored = revert_weight_conversion(model, state)
    except Exception:  # noqa: BLE001  a conversion that only goes one way
        return None
    return {name: tuple(tensor.shape) for name, tensor in stored.items()}


def _norms_of_one_plus(text: str) -> frozenset[str] | None:
    model = _bare_model(text)
    if model is None:
        return None
    found: dict[str, bool] = {}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if "norm" not in type(module).__name__.lower() or weight is None or weight.dim() != 1:
            continue
        if local_name(name) not in found:
            found[local_name(name)] = _adds_one(module, weight.numel())
    return frozenset(name for name, adds in found.items() if adds)


def _adds_one(norm: Any, size: int) -> bool:
    """Whether ``norm``, a module without memory of its own, gives more than 0 at weight 0."""
    import torch

    real = norm.to_empty(device="cpu").float()
    with torch.no_grad():
        for parameter in real.parameters():
            parameter.zero_()
        # One odd value, as a mean that is subtracted must not make everything 0.
        probe = torch.ones(1, size)
        probe[0, 0] = 2.0
        return bool(real(probe).abs().max() > 0)
