"""Merging recipes into tensors in place, for searches and ``evomerge merge`` alike."""

import math
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from evomerge.errors import MergeError
from evomerge.merging.checks import RecipeCheck
from evomerge.merging.chunks import BLOCK, Buffers, blocks
from evomerge.merging.folding import Fold
from evomerge.merging.kept import KeptFigures
from evomerge.merging.lowering import Lowering, wide_dtype
from evomerge.merging.plan import Layout, Leaf, Node, Output, Planner, fill
from evomerge.merging.registry import METHODS
from evomerge.merging.route_form import RouteForm
from evomerge.merging.route_plan import routed_outputs
from evomerge.merging.statistics import Store
from evomerge.models.architecture import BUFFERS, FLOATS
from evomerge.models.checkpoint import Checkpoint, torch_dtype
from evomerge.models.finite import is_finite
from evomerge.models.writer import TensorSpec
from evomerge.recipes.recipe import Recipe, Source

GPU_CHUNK = 1 << 24
"""Elements a piece on a GPU, where launching costs more than cache misses."""


MAX_PLANS = 64
"""Forms of recipes whose plans are kept."""


@dataclass(frozen=True)
class _Written:
    """What a target holds since the last merge into it."""

    target: "weakref.ref[Tensor]"
    version: int
    node: Node
    fold: Fold | None


class Merger:
    """Merges recipes over one set of sources.

    One merger serves one thread. It remembers figures of the sources and what it last wrote into
    each target, so that a recipe that resembles the last one costs little.

    Args:
        checkpoints: Source name → opened checkpoint; also an attribute.
        sources: Source name → source, whose sha256 orders sums and keys random masks.
        device: Where merges are computed, and where targets lie.
        cache_dir: Folder for figures of the sources that outlive the process; None keeps none.
        chunk: Elements computed at a time; the result doesn't depend on it.
    """

    def __init__(
        self,
        checkpoints: Mapping[str, Checkpoint],
        sources: Mapping[str, Source],
        *,
        device: str = "cpu",
        cache_dir: Path | None = None,
        chunk: int | None = None,
    ) -> None:
        self.checkpoints = dict(checkpoints)
        self._by_content = {sources[name].sha256: checkpoints[name] for name in checkpoints}
        self._device = device
        on_cpu = device == "cpu"
        self._chunk = chunk or (BLOCK * torch.get_num_threads() if on_cpu else GPU_CHUNK)
        self._layouts = {name: Layout(checkpoint) for name, checkpoint in checkpoints.items()}
        self._buffers = Buffers(device)
        kept = None if cache_dir is None else KeptFigures(cache_dir / "statistics")
        self._store = Store(self._raw, kept)
        self._lowering = Lowering(self._raw, self._store, self._buffers, self._chunk)
        self._written: dict[tuple[str, int], _Written] = {}  # by name and target's id
        self._plans: dict[object, list[Output]] = {}
        self._raws: dict[tuple[str, str], Tensor] = {}
        self._spilled = False

    def check(self, recipe: Recipe) -> None:
        """Make sure that a recipe can be merged; one of the same form is checked only once.

        Raises:
            MergeError: It can't; the message lists all reasons.
        """
        self._outputs(recipe)

    def specs(self, recipe: Recipe) -> list[TensorSpec]:
        """Return name, shape and dtype of the merged model's tensors, in order.

        Raises:
            MergeError: The recipe can't be merged.
        """
        return [TensorSpec(o.name, o.shape, o.dtype) for o in self._outputs(recipe)]

    def tensors(self, recipe: Recipe, *, reuse: bool = False) -> Iterator[tuple[str, Tensor]]:
        """Yield the merged model's tensors one at a time, on the CPU.

        Args:
            recipe: What to merge.
            reuse: A tensor is valid only until the next one is asked for and must not be written
                to: it may lie in the memory of the one before, or in a source's file.

        Raises:
            MergeError: The recipe can't be merged, a source holds NaN, or the result doesn't fit
                its dtype.
        """
        outputs = self._outputs(recipe)
        dtypes = [torch_dtype(output.dtype) for output in outputs]
        sizes = [math.prod(o.shape) * d.itemsize for o, d in zip(outputs, dtypes, strict=True)]
        device = self._device
        room = torch.empty(max(sizes, default=0) if reuse else 0, dtype=torch.uint8, device=device)
        for output, dtype, size in zip(outputs, dtypes, sizes, strict=True):
            if reuse:
                merged = room[:size].view(dtype).view(output.shape)
            else:
                merged = torch.empty(output.shape, dtype=dtype, device=device)
            with torch.inference_mode():
                self._write_folded(fill(output.frame, recipe), output, merged)
            yield output.name, merged.to("cpu")

    def merge_into(self, recipe: Recipe, targets: Mapping[str, Tensor]) -> int:
        """Write the merged model into ``targets``; those that hold it already are left alone.

        Args:
            recipe: What to merge.
            targets: Tensor name → tensor of the same shape on the merger's device. Its dtype is
                what the result is rounded to, once.

        Returns:
            Number of tensors rewritten.

        Raises:
            MergeError: The recipe can't be merged, a source holds NaN, or a target is missing or
                has another shape.
        """
        outputs = self._outputs(recipe)
        self._check_targets(outputs, targets)
        rewritten = 0
        self._written = {
            key: claim for key, claim in self._written.items() if claim.target() is not None
        }
        with torch.inference_mode():
            for output in outputs:
                target = targets.get(output.name)
                if target is None:
                    continue
                node = fill(output.frame, recipe)
                key = (output.name, id(target))
                if self._holds(output, node, target):
                    continue
                self._written.pop(key, None)  # a merge that fails half-way has no claim
                self._write_folded(node, output, target)
                claim = _Written(weakref.ref(target), _version(target), node, output.fold)
                self._written[key] = claim
                rewritten += 1
        return rewritten

    def forget(self) -> None:
        """Forget what was written: the next merge writes every tensor."""
        self._written.clear()

    def spill(self) -> None:
        """Give up memory for good: merges read the sources from their mapped files from now on.

        On a GPU its copies of the sources go, and pieces of the files are sent to it as they are
        needed; anywhere, scratch memory and figures of the sources go too. Weights are written bit
        for bit as before, more slowly.
        """
        self._spilled = True
        self._raws.clear()
        self._lowering.finish()  # a merge that failed half-way holds on to its buffers
        self._buffers.clear()
        self._store.clear()

    def _outputs(self, recipe: Recipe) -> list[Output]:
        """What the merged model consists of, found and checked once for recipes of one form."""
        form = (
            recipe.base,
            recipe.dtype,
            tuple(source.sha256 for source in recipe.sources),
            tuple((s.name, s.method, s.inputs, s.base) for s in recipe.stages),
            recipe.dataflow,
        )
        if form not in self._plans:
            unopened = [s.name for s in recipe.sources if s.name not in self.checkpoints]
            problems = [f"source {name!r} was not opened for this merge." for name in unopened]
            if not problems:
                problems = RecipeCheck(recipe, self.checkpoints, self._layouts).problems()
            if problems:
                raise MergeError("\n".join(problems))
            plugins = {stage.method: METHODS.get(stage.method) for stage in recipe.stages}
            takes_base = {name: item.declaration.needs_base for name, item in plugins.items()}
            flattened = {name for name, item in plugins.items() if item.value.flattened}
            planner = Planner(recipe, self._layouts, takes_base, flattened)
            if len(self._plans) >= MAX_PLANS:  # a search for scales makes a form a candidate
                del self._plans[next(iter(self._plans))]
            if recipe.dataflow is None:
                self._plans[form] = planner.outputs()
            else:
                route = RouteForm(recipe, self.checkpoints, self._layouts)
                self._plans[form] = routed_outputs(recipe.dataflow, planner, route)
        return self._plans[form]

    def _holds(self, output: Output, node: Node, target: Tensor) -> bool:
        """Whether ``target`` holds ``output`` since the last merge, and nobody wrote to it."""
        written = self._written.get((output.name, id(target)))
        return (
            written is not None
            and written.target() is target
            and written.version == _version(target)
            and written.fold == output.fold
            and written.node == node
        )

    def _check_targets(self, outputs: list[Output], targets: Mapping[str, Tensor]) -> None:
        problems = []
        for output in outputs:
            target = targets.get(output.name)
            if target is None:
                if not output.name.endswith(BUFFERS):
                    problems.append(f"no target for tensor {output.name!r}.")
            elif target.shape != output.shape:
                problems.append(
                    f"the target for tensor {output.name!r} has shape {tuple(target.shape)}, "
                    f"expected {output.shape}."
                )
        if problems:
            raise MergeError("\n".join(problems) + "\nLoad the base model as target.")

    def _write_folded(self, node: Node, output: Output, target: Tensor) -> None:
        """Compute ``node``, folded, into ``target``, rounding once; within inference mode."""
        fold = output.fold
        if fold is None:
            self._write(node, target)
            return
        wide = torch.empty(node.facts.shape, dtype=wide_dtype(node), device=target.device)
        self._write(node, wide)
        target.copy_(fold.apply(wide))
        vanished = fold.factor != 0 and not target.any() and wide.any()
        if vanished or not is_finite(target):
            raise MergeError(
                f"tensor {output.name!r} doesn't fit {str(target.dtype).removeprefix('torch.')}: "
                f"the route multiplies it by {fold.factor:g}. Take scales nearer to 1, or another "
                "dtype."
            )

    def _write(self, node: Node, target: Tensor) -> None:
        """Compute ``node`` into ``target``, any floating dtype; within inference mode."""
        if node.facts.dtype not in FLOATS:
            assert isinstance(node, Leaf)
            target.copy_(self._raw(node).view(target.shape))
            return
        contiguous = target.is_contiguous()
        flat = (target if contiguous else torch.empty_like(target).contiguous()).view(-1)
        self._buffers.reset()
        if not self._lowering.direct(node, flat):
            readable = self._lowering.readable(node, wide_dtype(node))
            for start, stop in blocks(readable.numel, self._chunk):
                flat[start:stop].copy_(readable.read(start, stop))
            self._lowering.finish()
        if not contiguous:
            target.copy_(flat.view(target.shape))

    def _raw(self, leaf: Leaf) -> Tensor:
        """The stored values of a source's tensor, flat: on the merger's device until ``spill``."""
        key = (leaf.content, leaf.tensor)
        if key not in self._raws:
            stored = self._by_content[leaf.content].read(leaf.tensor).reshape(-1)
            self._raws[key] = stored if self._spilled else stored.to(self._device)
        return self._raws[key]


def _version(target: Tensor) -> int:
    """How often torch has written to ``target``; tensors made in inference mode don't count."""
    return 0 if target.is_inference() else target._version
