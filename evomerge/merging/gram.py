"""Inner products of the sources' parameters by block: computed once a node, kept in the cache.

Every tensor is cut into canonical blocks counted from its start. The sums of all blocks, in the
order of the flattened model, stand in one file named after what the sources contain, so that all
searches over them share it, whatever groups of tensors they look at.
"""

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import torch
from numpy.typing import NDArray

from evomerge.errors import MergeError
from evomerge.merging.chunks import BLOCK, blocks
from evomerge.merging.kept import KeptFigures
from evomerge.merging.plan import Layout, Place
from evomerge.models.architecture import TensorFacts
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.recipe import Source
from evomerge.recipes.segments import chromosome, flattened

logger = logging.getLogger(__name__)

VERSION = 1
"""Part of the file's name; another one when the sums are computed otherwise."""

Array = NDArray[np.float64]


class GramSums:
    """Gram matrices of ``n`` sources by block and by part of a block (``segment_space.Products``).

    Args:
        checkpoints: The sources' checkpoints, in the order of the stage's inputs.
        sources: The same sources; their sha256 names the file.
        chromosomes: Groups of tensors that are flattened each by itself.
        cache_dir: Folder for the sums; None keeps none.
    """

    def __init__(
        self,
        checkpoints: Sequence[Checkpoint],
        sources: Sequence[Source],
        chromosomes: Sequence[str],
        cache_dir: Path | None = None,
    ) -> None:
        self._places = [Layout(checkpoint).places for checkpoint in checkpoints]
        self._checkpoints = checkpoints
        self._contents = [source.sha256 for source in sources]
        self._names = [source.name for source in sources]
        self._folder = cache_dir
        found: dict[Place, TensorFacts] = {}
        for places in self._places:
            for place, facts in places.items():
                if facts.is_merged:
                    found.setdefault(place, replace(facts, name=place.name))
        by_name = {facts.name: place for place, facts in found.items()}
        self._tensors = flattened(found.values())
        self._order = [by_name[facts.name] for facts in self._tensors]
        self._sizes = [math.prod(facts.shape) for facts in self._tensors]
        self._first_rows = [0, *accumulate(-(-size // BLOCK) for size in self._sizes)]
        groups = [chromosome(chromosomes, facts.role) for facts in self._tensors]
        self._groups = [
            [index for index, group in enumerate(groups) if group == name] for name in chromosomes
        ]

    def sums(self, chromosome: int) -> tuple[NDArray[np.int64], Array]:
        """Return the blocks' borders and the Gram matrix of all that stands before each.

        Returns:
            Flat indices, shape ``(m + 1,)``, and matrices, shape ``(m + 1, n, n)``.
        """
        group = self._groups[chromosome]
        rows = [row for index in group for row in range(*self._first_rows[index : index + 2])]
        lengths = [stop - start for index in group for start, stop in blocks(self._sizes[index])]
        borders = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        n = len(self._contents)
        sums = np.zeros((len(rows) + 1, n, n))
        np.cumsum(self._unfold(self._blocks[rows]), axis=0, out=sums[1:])
        return borders, sums

    def between(self, chromosome: int, start: int, stop: int) -> Array:
        """Return the Gram matrix, shape ``(n, n)``, of a part of one block, read from the sources.

        Args:
            chromosome: Which one.
            start: Flat index where a block begins.
            stop: Flat index in it.
        """
        for index in self._groups[chromosome]:
            if start < self._sizes[index]:
                return self._gram(index, start, stop)
            start, stop = start - self._sizes[index], stop - self._sizes[index]
        raise IndexError(f"chromosome {chromosome} ends before {start}")

    @cached_property
    def _blocks(self) -> Array:
        """The upper triangles of all blocks' matrices, shape ``(blocks, n (n + 1) / 2)``."""
        if self._folder is None:
            return self._compute()
        # Sources by content: whatever their order in a recipe, one file serves.
        key = " ".join([str(VERSION), str(BLOCK), *sorted(self._contents)])
        path = self._folder / f"gram-{hashlib.sha256(key.encode()).hexdigest()}.npy"
        stored = self._load(path)
        if stored is None:
            with KeptFigures(self._folder).claimed(key):
                stored = self._load(path)
                if stored is None:
                    stored = self._compute()
                    self._store(path, stored)
        return stored

    def _compute(self) -> Array:
        """Read all sources once; the rows' columns are pairs of sources, ordered by content."""
        logger.info(
            "inner products of %d sources of %.3g elements", len(self._names), sum(self._sizes)
        )
        triangle = np.triu_indices(len(self._contents))
        order = np.argsort(self._contents, kind="stable")
        found = [
            self._gram(index, start, stop)[np.ix_(order, order)][triangle]
            for index in range(len(self._tensors))
            for start, stop in blocks(self._sizes[index])
        ]
        return np.array(found)

    def _unfold(self, rows: Array) -> Array:
        """Turn upper triangles by content into matrices in the order of the inputs."""
        n = len(self._contents)
        order = np.argsort(self._contents, kind="stable")
        place = np.empty(n, dtype=np.intp)
        place[order] = np.arange(n)
        column = np.zeros((n, n), dtype=np.intp)
        column[np.triu_indices(n)] = np.arange(n * (n + 1) // 2)
        column = np.maximum(column, column.T)
        return rows[:, column[np.ix_(place, place)]]

    def _gram(self, index: int, start: int, stop: int) -> Array:
        """The Gram matrix of elements ``[start, stop)`` of one tensor; absent tensors are 0."""
        wide = torch.zeros((len(self._contents), stop - start), dtype=torch.float64)
        for row, (checkpoint, places) in enumerate(
            zip(self._checkpoints, self._places, strict=True)
        ):
            facts = places.get(self._order[index])
            if facts is not None:
                wide[row].copy_(checkpoint.read(facts.name).reshape(-1)[start:stop])
        gram: Array = (wide @ wide.T).numpy()
        if not np.isfinite(gram).all():
            row = int(np.flatnonzero(~np.isfinite(np.diag(gram)))[0])
            raise MergeError(
                f"tensor {self._tensors[index].name!r} of source {self._names[row]!r} holds NaN or "
                "infinity; expected finite numbers. Repair this source or leave it out."
            )
        return gram

    def _load(self, path: Path) -> Array | None:
        """The stored sums, None where there are none that fit."""
        try:
            stored: Array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        n = len(self._contents)
        wanted = (self._first_rows[-1], n * (n + 1) // 2)
        return stored if stored.shape == wanted and stored.dtype == np.float64 else None

    def _store(self, path: Path, sums: Array) -> None:
        """Write the sums; a folder that can't be written costs time and nothing else."""
        temporary = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
                temporary = Path(file.name)
                np.save(file, sums)
            temporary.replace(path)
        except OSError as error:
            logger.debug("inner products can't be kept in %s: %s", path.parent, error)
            if temporary is not None:
                temporary.unlink(missing_ok=True)
