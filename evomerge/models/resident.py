"""A model in memory whose parameters are overwritten by merges, reached by their names on disk."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.initialization import no_init_weights
from transformers.utils import logging as transformers_logging

from evomerge.errors import ModelError
from evomerge.models.checkpoint import Checkpoint, read_config, weight_files

logger = logging.getLogger(__name__)


def load_resident(
    folder: Path, *, dtype: str | None, device: str | None, trust_remote_code: bool = False
) -> nn.Module:
    """Load the causal language model in ``folder`` for evaluation and in-place merging.

    Args:
        folder: A Hugging Face folder with safetensors.
        dtype: Element type by torch's name (``float32``, ``bfloat16`` …); None keeps the
            checkpoint's.
        device: Torch device, ``cpu`` or ``cuda:0``; None lays the layers on all visible GPUs.
        trust_remote_code: Run the code that the folder brings, where its configuration asks for it.

    Returns:
        The model in eval mode, no parameter requiring a gradient, each in memory of its own.

    Raises:
        ModelError: transformers can't load it, or the checkpoint lacks parameters of the model.
    """
    weight_files(folder)  # refuses pickles, which from_pretrained would open
    read_config(folder)
    loader: Any = AutoModelForCausalLM
    bars: Any = transformers_logging
    had_bars = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        model, loading = loader.from_pretrained(
            folder,
            dtype="auto" if dtype is None else getattr(torch, dtype),
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **({"device_map": "auto", "max_memory": _gpu_memory()} if device is None else {}),
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, AttributeError) as error:
        raise _unloadable(folder, error) from error
    finally:
        if had_bars:
            bars.enable_progress_bar()
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])
        raise ModelError(
            f"{folder} lacks {len(missing)} parameters of {type(model).__name__}, as "
            f"{missing[0]!r}; transformers would fill them with random numbers. "
            "Save the whole model again."
        )
    model.requires_grad_(False)
    _own_memory(model)
    if device is None and any(tensor.is_meta for tensor in model.parameters()):
        raise ModelError(
            f"{folder} doesn't fit on the visible GPUs together. Use a smaller recipe.dtype, or "
            "give a worker more GPUs."
        )
    resident: nn.Module = model.eval() if device is None else model.to(device).eval()
    return resident


def unfilled_resident(
    folder: Path,
    changes: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    dtype: str | None,
    device: str,
    trust_remote_code: bool = False,
) -> tuple[nn.Module, dict[str, Tensor]]:
    """Build a model of another form than any folder's, for a merge to fill; nothing is read.

    Args:
        folder: Where its configuration is from.
        changes: Keys of the configuration that differ.
        shapes: Tensor name → shape, of all tensors that its checkpoint would have.
        dtype: Element type by torch's name; None takes the configuration's.
        device: Torch device.
        trust_remote_code: Run the code that the folder brings.

    Returns:
        The model, its parameters holding anything, and tensor name → live tensor.

    Raises:
        ModelError: transformers can't build it, or tensors and parameters don't fit each other.
    """
    model = empty_model(
        folder, changes, dtype=dtype, device=device, trust_remote_code=trust_remote_code
    )
    model.tie_weights()
    model.requires_grad_(False)
    found = _by_name(model, shapes, str(folder))
    filled = sum(tensor.numel() for tensor in found.values())
    wanted = sum(parameter.numel() for parameter in model.parameters())
    if filled < wanted:
        raise ModelError(
            f"the merged model would lack {wanted - filled} of the {wanted} parameters of "
            f"{type(model).__name__}. Save {folder} again with transformers."
        )
    return model.eval(), found


def empty_model(
    folder: Path,
    changes: Mapping[str, Any],
    *,
    dtype: str | None,
    device: str,
    trust_remote_code: bool = False,
) -> Any:
    """Build the model of a folder's configuration; its parameters hold anything.

    Args:
        folder: Where the configuration is from.
        changes: Keys of it that differ.
        dtype: Element type by torch's name; None takes the configuration's.
        device: Torch device; ``meta`` takes no memory.
        trust_remote_code: Run the code that the folder brings.

    Raises:
        ModelError: transformers can't build it.
    """
    try:
        config = AutoConfig.from_pretrained(
            folder, trust_remote_code=trust_remote_code, local_files_only=True, **changes
        )
        kind = {} if dtype is None else {"dtype": getattr(torch, dtype)}
        loader: Any = AutoModelForCausalLM
        with no_init_weights(), torch.device(device):
            return loader.from_config(config, trust_remote_code=trust_remote_code, **kind)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, AttributeError) as error:
        raise _unloadable(folder, error) from error


def parameters_by_name(model: nn.Module, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return checkpoint tensor name → live tensor of ``model``, in the checkpoint's order.

    What a merge writes into these tensors is what the model computes with. Tensors that
    transformers renames or fuses on loading (a mixture's experts) come as views of the fused
    parameter, which needn't be contiguous. Tied tensors come once, under the first of their names;
    buffers that no checkpoint holds are left out, as are tensors that the model's class ignores
    (causal masks in old GPT-2 files).

    Args:
        model: What ``load_resident`` returned for this checkpoint, or for one with the same names
            and shapes.
        checkpoint: Where the names come from.

    Raises:
        ModelError: Tensors of the checkpoint have no place in the model, or another shape.
    """
    shapes = {name: facts.shape for name, facts in checkpoint.tensors.items()}
    return _by_name(model, shapes, str(checkpoint.folder))


def _gpu_memory() -> dict[int, int]:
    """What weights may take of each GPU; nothing is left to the CPU or to the disk."""
    count = torch.cuda.device_count()
    # A fifth stays free for activations and the merge's scratch.
    return {index: torch.cuda.mem_get_info(index)[0] * 4 // 5 for index in range(count)}


def _by_name(
    model: nn.Module, shapes: Mapping[str, tuple[int, ...]], where: str
) -> dict[str, Tensor]:
    live = _live_tensors(model)
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    found: dict[str, Tensor] = {}
    homeless, taken = [], set()
    for name, shape in shapes.items():
        names = (name, prefix + name, name.removeprefix(prefix))
        tensor = next((live[n] for n in names if n in live and live[n].shape == shape), None)
        if tensor is None:
            if not _is_ignored(model, name):
                homeless.append(name)
        elif (place := (tensor.data_ptr(), tensor.shape)) not in taken or tensor.numel() == 0:
            taken.add(place)
            found[name] = tensor
    if homeless:
        raise ModelError(
            f"{where}: {len(homeless)} tensors have no place in "
            f"{type(model).__name__}, as {homeless[0]!r} of shape "
            f"{shapes[homeless[0]]}. "
            "Merge this model on disk with 'evomerge merge', or save it anew with transformers."
        )
    return found


class _Views(TorchFunctionMode):
    """Within it ``contiguous`` does nothing, so that splitting a fused parameter copies nothing."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is Tensor.contiguous:
            return args[0]
        return func(*args, **(kwargs or {}))


def _live_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Names in memory and names on disk → tensors that share the model's memory."""
    in_memory: dict[str, Tensor] = {
        name: tensor.detach() for name, tensor in model.state_dict(keep_vars=True).items()
    }
    if not isinstance(model, PreTrainedModel):
        return in_memory
    try:
        with _Views():
            on_disk: Mapping[str, Any] = revert_weight_conversion(model, dict(in_memory))
    except (ValueError, RuntimeError, NotImplementedError, AttributeError, KeyError) as error:
        logger.debug("the conversion on loading can't be reversed: %s", error)
        on_disk = {}
    spans = [(t.data_ptr(), t.data_ptr() + t.nbytes) for t in in_memory.values()]
    views = {
        name: tensor
        for name, tensor in on_disk.items()
        # A copy isn't live: what is written to it wouldn't reach the model.
        if any(begin <= tensor.data_ptr() < end for begin, end in spans)
    }
    return {**views, **in_memory}


def _is_ignored(model: nn.Module, name: str) -> bool:
    patterns = getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
    return any(re.search(pattern, name) for pattern in patterns)


def _own_memory(model: nn.Module) -> None:
    """Copy parameters that are views of a mapped file: writing them would fault pages in."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.untyped_storage().nbytes() > tensor.nbytes:
            tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)


def _unloadable(folder: Path, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())
    if "trust_remote_code" in reason:
        return ModelError(
            f"{folder} brings code of its own. Read it, and if you trust it set "
            "trust_remote_code: true for this source."
        )
    return ModelError(
        f"{folder} can't be loaded as a causal language model: {reason[:500]}. "
        "Check that transformers knows this model_type and that config.json belongs to the weights."
    )
