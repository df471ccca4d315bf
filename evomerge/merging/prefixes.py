"""Activations that routes with the same first steps share, kept within a budget of bytes.

The routes seen so far form a trie over their steps. After each step, what the layer gave for a
batch is kept with the step's node, together with the KV cache where the batch goes on from it; a
route that begins alike takes it up there. Nothing is rounded: the kept tensors themselves go on.
"""

import copy
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

from evomerge.merging.routing import steps_of

HALF_LIFE = 16
"""Routes after which a visit to a prefix counts half."""

MAX_NODES = 50_000
"""Prefixes that are remembered, most of them without activations."""


@dataclass(eq=False)
class _Node:
    """A prefix: the steps from the root to here.

    Args:
        depth: Number of its steps.
        parent: The prefix without the last step.
        children: Step → the prefix that it leads to.
        visits: Routes that began so, older ones counting less, at the time of ``seen``.
        seen: Number of the route that came last.
        kept: Pass → activations after the last step.
    """

    depth: int
    parent: "_Node | None"
    children: dict[Hashable, "_Node"] = field(default_factory=dict)
    visits: float = 0.0
    seen: int = 0
    kept: dict[Hashable, "_Kept"] = field(default_factory=dict)


@dataclass(frozen=True)
class _Kept:
    """What a layer gave in one pass, and the KV cache's slots up to it where they are needed."""

    output: Any
    slots: tuple[Any, ...]

    def tensors(self) -> Iterator[Tensor]:
        """Yield all tensors."""
        outputs = self.output if isinstance(self.output, tuple) else (self.output,)
        yield from (item for item in outputs if isinstance(item, Tensor))
        for slot in self.slots:
            yield from (slot.keys, slot.values)


@dataclass
class _Pass:
    """One forward pass.

    Args:
        key: Which one.
        resume: Steps that are known.
        found: What they gave.
        keeps_cache: Other passes go on from its KV cache.
        slots: The cache's slots so far.
        sharable: The slots are of kinds that can be handed on.
    """

    key: Hashable
    resume: int
    found: _Kept | None
    keeps_cache: bool
    slots: list[Any] = field(default_factory=list)
    sharable: bool = True


class PrefixCache:
    """Shares activations between the routes that one worker scores.

    Args:
        budget: Bytes of activations that it may hold.

    Attributes:
        bytes: Bytes that it holds.
        steps_run: Layers that were computed in passes that could be shared.
        steps_saved: Layers that were not.
    """

    def __init__(self, budget: int) -> None:
        self.bytes = 0
        self.steps_run = 0
        self.steps_saved = 0
        self._budget = budget
        self._roots: dict[Hashable, _Node] = {}
        self._path: list[_Node] = []
        self._routes = self._n_nodes = 0
        self._storages: dict[int, list[int]] = {}  # address -> [references, bytes]
        self._holding: dict[_Node, None] = {}  # in order, so that ties fall the same way
        self._refused: set[_Node] = set()
        self._batches: dict[int, object] = {}
        self._pass: _Pass | None = None

    def follow(self, model: nn.Module, root: Hashable, path: Sequence[Hashable]) -> None:
        """Let ``model``, made by a router, share activations until the next call.

        Args:
            model: A routed model.
            root: What its embedding is.
            path: What each of its steps is; equal entries mean equal computations.
        """
        if self._n_nodes > MAX_NODES:
            self.clear()
        self._routes += 1
        self._refused.clear()
        node = self._roots.setdefault(root, _Node(0, None))
        self._path = []
        for key in path:
            if key not in node.children:
                node.children[key] = _Node(node.depth + 1, node)
                self._n_nodes += 1
            node = node.children[key]
            node.visits = 1 + self._visits(node)
            node.seen = self._routes
            self._path.append(node)
        for step in steps_of(model):
            step.shortcut = self._step

    @contextmanager
    def reading(self, batch: object, number: int, *, keeps_cache: bool) -> Iterator[None]:
        """Share the forward pass within.

        Args:
            batch: What is read; an object that comes again is taken to hold the same tokens.
            number: Which of the batch's passes.
            keeps_cache: Other passes go on from this one's KV cache.
        """
        self._batches[id(batch)] = batch  # as long as it lives its id stands for it
        key = (id(batch), number)
        resume = next((n for n in reversed(self._path) if key in n.kept), None)
        found = None if resume is None else resume.kept[key]
        self._pass = _Pass(key, resume.depth if resume else 0, found, keeps_cache)
        try:
            yield
        finally:
            self._pass = None

    def clear(self) -> None:
        """Give up all activations, and the memory of what was visited."""
        self.bytes = self._n_nodes = 0
        self._roots.clear()
        self._path = []
        self._storages.clear()
        self._holding.clear()
        self._refused.clear()
        self._batches.clear()

    def shrink(self, budget: int) -> None:
        """Give up all activations, and hold at most ``budget`` bytes from now on."""
        self._budget = min(self._budget, budget)
        self.clear()

    def _step(self, index: int, compute: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Take a step's output from the cache, or compute it and keep it."""
        now = self._pass
        if now is None or index >= len(self._path):
            return compute(*args, **kwargs)
        cache = _cache_among(args, kwargs) if now.keeps_cache else None
        if now.found is not None and index < now.resume:
            self.steps_saved += 1
            if cache is not None:
                cache.layers[index] = copy.copy(now.found.slots[index])
                now.slots.append(now.found.slots[index])
            return now.found.output  # the model hands it on to the next step
        self.steps_run += 1
        output = compute(*args, **kwargs)
        if cache is not None:
            slot = cache.layers[index]
            # Only these put new tensors in the place of old ones, which so stay as they are.
            now.sharable &= type(slot) in (DynamicLayer, DynamicSlidingWindowLayer)
            now.slots.append(copy.copy(slot))
        if now.sharable:
            self._keep(self._path[index], now, output)
        return output

    def _keep(self, node: _Node, now: _Pass, output: Any) -> None:
        """Keep an output if there is room, or if it saves more than what has to go for it."""
        if node in self._refused:
            return
        kept = _Kept(output, tuple(now.slots))
        saves = self._saves(node, now.key)
        while self.bytes + self._new_bytes(kept) > self._budget:
            others = (other for other in self._holding if other is not node)
            least = min(others, key=self._saves, default=None)
            if least is None or self._saves(least) >= saves:
                self._refused.add(node)
                return
            self._drop(least)
        node.kept[now.key] = kept
        self._holding[node] = None
        for tensor in kept.tensors():
            entry = self._storages.setdefault(_address(tensor), [0, _size(tensor)])
            self.bytes += entry[1] if entry[0] == 0 else 0
            entry[0] += 1

    def _drop(self, node: _Node) -> None:
        for kept in node.kept.values():
            for tensor in kept.tensors():
                entry = self._storages[_address(tensor)]
                entry[0] -= 1
                if entry[0] == 0:
                    self.bytes -= entry[1]
                    del self._storages[_address(tensor)]
        node.kept.clear()
        self._holding.pop(node, None)

    def _new_bytes(self, kept: _Kept) -> int:
        """Bytes that are held more if ``kept`` is; a slot is shared with the prefixes before it."""
        new = {_address(t): _size(t) for t in kept.tensors() if _address(t) not in self._storages}
        return sum(new.values())

    def _saves(self, node: _Node, key: Hashable | None = None) -> float:
        """Steps that a node saves a route: those after the last prefix that is kept, by its visits.

        Args:
            node: The node.
            key: Look at this pass only; None at all that are kept.
        """
        above = node.parent
        while above is not None and (key not in above.kept if key else not above.kept):
            above = above.parent
        return self._visits(node) * (node.depth - (above.depth if above else 0))

    def _visits(self, node: _Node) -> float:
        return node.visits * float(0.5 ** ((self._routes - node.seen) / HALF_LIFE))


def _cache_among(args: Any, kwargs: Any) -> Any:
    """Return the KV cache that a layer is called with, by whichever name or position."""
    return next((item for item in (*kwargs.values(), *args) if isinstance(item, Cache)), None)


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _size(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes()
