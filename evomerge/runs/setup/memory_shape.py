"""Sizes that memory is reckoned from: a model's widths, and what a forward pass and a merge hold.

Plain arithmetic on checkpoint headers and config.json; no torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evomerge.models.architecture import TEXT_CONFIGS
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.header import ITEM_BYTES

if TYPE_CHECKING:
    from evomerge.evaluation.sketch import Pass

ITEM = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
"""Element type by torch's name → bytes."""

CHUNK = 1 << 16
"""Elements that a merge on a CPU computes at a time and thread."""

GPU_CHUNK = 1 << 24
"""The same on a GPU."""


@dataclass(frozen=True)
class ModelShape:
    """A model's sizes.

    Args:
        parameters: Elements of all tensors.
        item: Bytes an element in memory.
        layers: Number of layers.
        width: Width of the residual stream.
        inner: Width inside the feed-forward block, of all experts that a token goes through.
        query: Width of all heads' queries.
        cached: Width of all heads' keys; values are as wide.
        vocabulary: Logits of a position.
        largest: Elements of the largest tensor.
    """

    parameters: int
    item: int
    layers: int
    width: int
    inner: int
    query: int
    cached: int
    vocabulary: int
    largest: int

    @classmethod
    def of(cls, checkpoint: Checkpoint, dtype: str | None) -> "ModelShape":
        """Read the sizes off a checkpoint's header and configuration.

        Args:
            checkpoint: The base.
            dtype: Element type of the resident model; None keeps the checkpoint's.
        """
        config = _text_config(checkpoint.config)
        tensors = checkpoint.tensors.values()
        counts = {facts.name: math.prod(facts.shape) for facts in tensors}
        table = max(
            (f.shape for f in tensors if f.role in ("embed", "head") and len(f.shape) == 2),
            key=math.prod,
            default=(1, 1),
        )
        width = int(_first(config, "hidden_size", "n_embd", "d_model") or table[1])
        heads = int(_first(config, "num_attention_heads", "n_head", "n_heads") or 1)
        head = int(_first(config, "head_dim") or max(1, width // heads))
        kv_heads = int(_first(config, "num_key_value_heads") or heads)
        inner = max(
            (max(f.shape[-2:]) for f in tensors if f.role == "mlp" and len(f.shape) > 1),
            default=4 * width,
        )
        experts = int(_first(config, "num_experts_per_tok") or 1)
        item = ITEM[dtype] if dtype else max((ITEM_BYTES[f.dtype] for f in tensors), default=4)
        return cls(
            parameters=sum(counts.values()),
            item=item,
            layers=checkpoint.n_layers,
            width=width,
            inner=inner * experts,
            query=heads * head,
            cached=kv_heads * head,
            vocabulary=int(_first(config, "vocab_size") or table[0]),
            largest=max(counts.values(), default=0),
        )

    @property
    def n_bytes(self) -> int:
        """Bytes of the resident model."""
        return self.parameters * self.item

    def cache_bytes(self, one: "Pass") -> int:
        """Bytes of keys and values of all layers, and of the one layer that grows meanwhile."""
        return 2 * (self.layers + 1) * self.cached * one.cached * self.item

    def pass_bytes(self, one: "Pass") -> int:
        """Bytes of activations at the worst layer, or of the logits with their log-softmax."""
        # Beside the residual stream and its norm: gate, up and product, or what attention holds.
        block = max(3 * self.inner, 3 * self.query + 4 * self.cached)
        layer = one.tokens * (2 * self.width + block) * self.item + one.mask * (1 + self.item)
        softmax = self.item + 4 + (4 if self.item < 4 else 0)
        end = one.logits * self.item + one.scored * softmax
        return max(layer, one.tokens * self.width * self.item + end * self.vocabulary)

    def largest_pass(self, passes: Sequence["Pass"], limit: int | None = None) -> tuple[int, int]:
        """Return (bytes of the batch, bytes of its cache) of the pass that takes most.

        Args:
            passes: Passes of a task.
            limit: Most rows; what a pass holds falls in proportion.
        """

        def sizes(one: "Pass") -> tuple[int, int]:
            share = 1.0 if limit is None else min(1.0, limit / one.rows)
            return math.ceil(self.pass_bytes(one) * share), math.ceil(self.cache_bytes(one) * share)

        return max(map(sizes, passes), key=sum, default=(0, 0))


@dataclass(frozen=True)
class MergeShape:
    """What merging a recipe's stages holds in memory.

    Args:
        sources: Number of sources.
        whole: A method takes whole tensors, or a stage is computed for a later one.
        counted: A method counts magnitudes, and the counts are kept.
        double: It computes in float64.
    """

    sources: int
    whole: bool
    counted: bool
    double: bool

    def scratch_bytes(self, model: ModelShape, *, threads: int, gpu: bool) -> int:
        """Bytes of buffers while one tensor is merged."""
        chunk = model.largest if self.whole else GPU_CHUNK if gpu else CHUNK * threads
        # A buffer a source, and a few for sums, masks and the result.
        return (self.sources + 4) * min(chunk, model.largest) * (8 if self.double else 4)

    def figure_bytes(self, n_tensors: int) -> int:
        """Bytes of what is remembered of the sources: small, but of each tensor and pair."""
        pairs = self.sources**2
        counts = 32_000 * self.sources if self.counted else 0
        return n_tensors * (pairs * 400 + counts)


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of the language tower, where there is one inside."""
    inside = [config[key] for key in TEXT_CONFIGS if isinstance(config.get(key), Mapping)]
    return {**config, **inside[0]} if inside else config


def _first(config: Mapping[str, Any], *keys: str) -> Any:
    return next((config[key] for key in keys if config.get(key) is not None), None)
