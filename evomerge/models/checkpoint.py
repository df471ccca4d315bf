"""A checkpoint on disk, whose tensors are read lazily through memory maps.

Opening reads only headers and ``config.json`` and needs no torch; ``read`` gives views of the map,
so that a source costs page cache and no memory of the process.
"""

import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evomerge.errors import ModelError
from evomerge.models.architecture import TensorFacts, infer_facts, n_layers, ties_embeddings
from evomerge.models.header import Entry, read_header

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_CONVERT = (
    'Where you trust the file, convert it once: python -c "from transformers import '
    "AutoModelForCausalLM as M, AutoTokenizer as T; [C.from_pretrained('{folder}')"
    ".save_pretrained('{folder}-safe') for C in (M, T)]\" and use {folder}-safe."
)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """An ordinary Hugging Face folder with safetensors weights.

    Args:
        folder: Where it lies.
        config: Its ``config.json``.
        tensors: Name → facts, in the model's natural order.
        n_layers: Number of layers.
        tied: The head is the embedding: the configuration doesn't forbid it, and no head is stored
            or it is a copy of the embedding, which is then left out of ``tensors``.
        total_bytes: Bytes of all tensors.
    """

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorFacts]
    n_layers: int
    tied: bool
    total_bytes: int
    _places: Mapping[str, tuple[Path, Entry]] = field(repr=False)
    _maps: dict[Path, mmap.mmap] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, folder: Path) -> "Checkpoint":
        """Read the headers and configuration in ``folder``; no tensor is touched.

        Raises:
            ModelError: The folder or a file is missing, truncated or corrupt, holds pickles or an
                adapter, is quantised, or its configuration and weights don't fit each other.
        """
        folder = Path(folder)
        files = weight_files(folder)
        config = read_config(folder)
        places = _places(folder, files)
        headers = {name: (entry.shape, entry.dtype) for name, (_, entry) in places.items()}
        try:
            tensors = infer_facts(headers, config)
            depth = n_layers(headers, config)
        except ModelError as error:
            raise ModelError(f"{folder}: {error}") from error
        may_tie = ties_embeddings(config) is not False
        copy = _copied_head(tensors, places) if may_tie else None
        if copy is not None:
            tensors = {name: facts for name, facts in tensors.items() if name != copy}
        stores_head = any(facts.role == "head" for facts in tensors.values())
        return cls(
            folder=folder,
            config=config,
            tensors=tensors,
            n_layers=depth,
            tied=may_tie and not stores_head,
            total_bytes=sum(places[name][1].end - places[name][1].begin for name in tensors),
            _places={name: places[name] for name in tensors},
        )

    def read(self, name: str) -> "Tensor":
        """Return tensor ``name`` as a view of a private memory map: never write to it.

        Raises:
            ModelError: There is no such tensor, or its file has changed since it was opened.
        """
        import torch

        if name not in self._places:
            raise ModelError(f"{self.folder} has no tensor {name!r}; it has {len(self.tensors)}.")
        path, entry = self._places[name]
        dtype = torch_dtype(entry.dtype)
        count = (entry.end - entry.begin) // dtype.itemsize
        if count == 0:
            return torch.empty(entry.shape, dtype=dtype)
        source = self._map(path)
        if entry.begin % dtype.itemsize == 0:
            flat = torch.frombuffer(source, dtype=dtype, offset=entry.begin, count=count)
        else:  # an old writer didn't pad its header; elements must be aligned to be viewed
            raw = torch.frombuffer(
                source, dtype=torch.uint8, offset=entry.begin, count=entry.end - entry.begin
            )
            flat = raw.clone().view(dtype)
        return flat.view(entry.shape)

    def _map(self, path: Path) -> mmap.mmap:
        if path not in self._maps:
            needed = max(entry.end for place, entry in self._places.values() if place == path)
            try:
                with path.open("rb") as file:
                    # Copy-on-write: torch wants a writable buffer, and the file stays as it is.
                    source = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            except (OSError, ValueError) as error:
                raise ModelError(
                    f"{path} can't be mapped: {error}. Check that it still exists."
                ) from error
            if len(source) < needed:
                raise ModelError(
                    f"{path} has {len(source)} bytes and had {needed} when it was opened. "
                    "Don't change a source during a run."
                )
            self._maps[path] = source
        return self._maps[path]


def torch_dtype(name: str) -> "torch.dtype":
    """Return torch's element type for safetensors' ``name`` (``BF16`` → ``torch.bfloat16``).

    Raises:
        ModelError: Torch has no such type.
    """
    import torch

    known = {
        "BOOL": torch.bool,
        "U8": torch.uint8,
        "I8": torch.int8,
        "F8_E4M3": torch.float8_e4m3fn,
        "F8_E5M2": torch.float8_e5m2,
        "U16": torch.uint16,
        "I16": torch.int16,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "U32": torch.uint32,
        "I32": torch.int32,
        "F32": torch.float32,
        "U64": torch.uint64,
        "I64": torch.int64,
        "F64": torch.float64,
        "C64": torch.complex64,
    }
    if name not in known:
        raise ModelError(f"element type {name!r} is unknown; expected one of {', '.join(known)}.")
    return known[name]


def read_config(folder: Path) -> dict[str, Any]:
    """Return ``config.json`` of ``folder``.

    Raises:
        ModelError: It is missing, isn't JSON, or describes a quantised model.
    """
    path = folder / "config.json"
    config = _read_json(path, "Every Hugging Face model has one; get it from the model's page.")
    if "quantization_config" in config:
        method = dict(config["quantization_config"] or {}).get("quant_method", "unknown")
        raise ModelError(
            f"{folder} is quantised ({method}); merging needs plain weights. "
            "Use the model that it was quantised from."
        )
    return config


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of ``folder`` that make up the model, sorted by name.

    Raises:
        ModelError: There are none (and what there is instead), or the index is broken.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder. Expected a Hugging Face model folder.")
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if (folder / INDEX).is_file():
        names = shard_names(folder)
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                f"{folder} lacks {', '.join(missing)}, which {INDEX} names. Download it again."
            )
        return [folder / name for name in names]
    raise _no_weights(folder)


def shard_names(folder: Path) -> list[str]:
    """Return the shards that the index in ``folder`` names, sorted; they may be missing.

    Raises:
        ModelError: The index is missing or broken.
    """
    return sorted(set(_weight_map(folder).values()))


def _places(folder: Path, files: list[Path]) -> dict[str, tuple[Path, Entry]]:
    """Tensor name → (file, entry), over all shards."""
    headers = {path: read_header(path) for path in files}
    places = {
        name: (path, entry) for path in reversed(files) for name, entry in headers[path].items()
    }
    if files != [folder / SINGLE]:
        for name, file in _weight_map(folder).items():
            if name not in headers[folder / file]:
                raise ModelError(
                    f"{folder / file} lacks tensor {name!r}, which {INDEX} puts there. "
                    "Download it again."
                )
            places[name] = (folder / file, headers[folder / file][name])
    if not places:
        raise ModelError(f"{folder} holds no tensors. Download or save the model again.")
    return places


def _copied_head(
    tensors: Mapping[str, TensorFacts], places: Mapping[str, tuple[Path, Entry]]
) -> str | None:
    """Name of a stored head that repeats an embedding byte for byte: some writers store both."""
    heads = [facts for facts in tensors.values() if facts.role == "head"]
    if len(heads) != 1:
        return None
    head = heads[0]
    for facts in tensors.values():
        alike = facts.role == "embed" and (facts.shape, facts.dtype) == (head.shape, head.dtype)
        if alike and _same_bytes(places[facts.name], places[head.name]):
            return head.name
    return None


def _same_bytes(one: tuple[Path, Entry], other: tuple[Path, Entry]) -> bool:
    left = one[1].end - one[1].begin
    with one[0].open("rb") as a, other[0].open("rb") as b:
        a.seek(one[1].begin)
        b.seek(other[1].begin)
        while left > 0:
            step = min(left, 1 << 20)
            if a.read(step) != b.read(step):
                return False
            left -= step
    return True


def _weight_map(folder: Path) -> dict[str, str]:
    path = folder / INDEX
    weights = _read_json(path, "Download it again.").get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise ModelError(f"{path} has no 'weight_map'. Download it again.")
    for file in weights.values():
        if (
            not isinstance(file, str)
            or Path(file).name != file
            or not file.endswith(".safetensors")
        ):
            raise ModelError(
                f"{path} names the file {file!r}, expected a .safetensors file beside it."
            )
    return weights


def _read_json(path: Path, mend: str) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing. {mend}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} can't be read as JSON: {error}. {mend}") from error
    if not isinstance(plain, dict):
        raise ModelError(f"{path} holds {type(plain).__name__}, expected a JSON object. {mend}")
    return plain


def _no_weights(folder: Path) -> ModelError:
    """Say what the folder holds instead of safetensors."""
    if (folder / "adapter_config.json").is_file():
        return ModelError(
            f"{folder} is an adapter, not a whole model. Merge it into its base first "
            "(peft: model.merge_and_unload().save_pretrained(FOLDER))."
        )
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        return ModelError(
            f"{folder} holds pickled weights ({', '.join(pickles[:3])}), which can run code when "
            f"loaded; expected safetensors. {_CONVERT.format(folder=folder)}"
        )
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    found = f"only {', '.join(others[:3])}" if others else "no weights"
    return ModelError(f"{folder} holds {found}, expected {SINGLE} or {INDEX}. Check the path.")
