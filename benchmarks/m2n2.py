"""Time and weigh M2N2's coefficient form over sources of seven billion parameters.

Run: OMP_NUM_THREADS=1 python benchmarks/m2n2.py

Proposals: a run of ``--candidates`` with an archive of 100 over the tensors of a 7B Llama, whose
inner products and scores are made up; the searcher never sees a weight, so nothing else differs
from a real run. Times are CPU seconds of one ask and tell. "any" allows cuts inside blocks; a real
run then reads that part of a block from the sources, once a cut, which is left out here.

Merges: a model made of segments beside one linear combination of the same sources (``--size``), and
the inner products of all blocks beside it; CPU seconds of one thread, best of several, by turns.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from synthetic import count, new_merger, open_models, write_models

from evomerge.merging.gram import GramSums
from evomerge.models.architecture import TensorFacts
from evomerge.recipes.recipe import Recipe, Stage, StageInput
from evomerge.recipes.segment_plan import SegmentSearch
from evomerge.recipes.segment_space import SegmentSpace
from evomerge.search.m2n2 import M2N2Searcher
from evomerge.search.protocol import Evaluation

BLOCK = 1 << 16
LAYER = {
    "self_attn.q_proj": (4096, 4096),
    "self_attn.k_proj": (1024, 4096),
    "self_attn.v_proj": (1024, 4096),
    "self_attn.o_proj": (4096, 4096),
    "mlp.gate_proj": (14336, 4096),
    "mlp.up_proj": (14336, 4096),
    "mlp.down_proj": (4096, 14336),
    "input_layernorm": (4096,),
    "post_attention_layernorm": (4096,),
}
ROLES = {"self_attn": "attn", "mlp": "mlp"}


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--size", default="24M")
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for n, block, groups in ((2, "auto", ()), (2, "any", ()), (3, "auto", ("attn", "mlp", "rest"))):
        propose(n, block, groups, options.candidates, options.examples)
    propose(16, "auto", (), options.candidates, options.examples)
    with tempfile.TemporaryDirectory() as folder:
        merge(Path(folder), options.size, options.repeat)


def seven_billion() -> list[TensorFacts]:
    """Return the tensors of a 7B Llama with grouped heads: 7.24e9 elements."""
    found = [TensorFacts("model.embed_tokens.weight", (32000, 4096), "BF16", None, "embed")]
    for layer in range(32):
        for name, shape in LAYER.items():
            role = ROLES.get(name.split(".")[0], "norm")
            full = f"model.layers.{layer}.{name}.weight"
            found.append(TensorFacts(full, shape, "BF16", layer, role))
    found.append(TensorFacts("model.norm.weight", (4096,), "BF16", None, "norm", before=False))
    found.append(TensorFacts("lm_head.weight", (32000, 4096), "BF16", None, "head", before=False))
    return found


class MadeUp:
    """Inner products of sources whose cosines are about 0.9, block by block."""

    def __init__(self, sizes: tuple[int, ...], n: int) -> None:
        self._sizes = sizes
        self._gram = np.full((n, n), 0.9) + 0.1 * np.eye(n)

    def sums(self, chromosome: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return borders every 64 Ki and the sums up to each."""
        size = self._sizes[chromosome]
        borders = np.append(np.arange(0, size, BLOCK), size)
        rng = np.random.default_rng(chromosome)
        scale = np.diff(borders) * rng.uniform(0.5, 1.5, len(borders) - 1)
        upto = np.concatenate([[0.0], np.cumsum(scale)])
        return borders, upto[:, None, None] * self._gram

    def between(self, chromosome: int, start: int, stop: int) -> NDArray[np.float64]:
        """Return the sum of a part of a block."""
        return (stop - start) * self._gram


def propose(n: int, block: str, groups: tuple[str, ...], candidates: int, examples: int) -> None:
    """Drive a searcher and print how long it takes and what its archive weighs."""
    names = tuple(f"source{index}" for index in range(n))
    space = SegmentSpace(SegmentSearch("s", names, block, groups, "s"), seven_billion())
    space.products = MadeUp(space.sizes, n)
    searcher = M2N2Searcher(space, seed=0, archive=100)
    rng = np.random.default_rng(0)
    asks, tells = [], []
    for _ in range(candidates):
        begin = time.process_time()
        proposals = searcher.ask()
        asks.append(time.process_time() - begin)
        told = [
            Evaluation(p.id, (0.0,), examples=(rng.random(examples) < 0.5).astype(float))
            for p in proposals
        ]
        begin = time.process_time()
        searcher.tell(told)
        tells.append(time.process_time() - begin)
    sizes = [member.genome.nbytes for member in searcher.members]
    segments = [
        sum(len(part.ends) for part in space.unpack(member.genome)) for member in searcher.members
    ]
    last = slice(candidates // 2, None)
    print(
        f"{n} sources, block {block}, {len(space.chromosomes)} chromosomes: segments of a member "
        f"{statistics.median(segments):.0f} (most {max(segments)}), archive "
        f"{sum(sizes) / 1e6:.2f} MB; ask {1e3 * statistics.median(asks[last]):.2f} ms "
        f"(99 of 100 below {1e3 * np.quantile(asks[last], 0.99):.2f}), tell "
        f"{1e3 * statistics.median(tells[last]):.2f} ms"
    )


def merge(folder: Path, size: str, repeat: int) -> None:
    """Print how long segments take beside one linear combination."""
    write_models(folder, size, torch.bfloat16)
    checkpoints, sources = open_models(folder)
    merger = new_merger(folder)
    base = checkpoints["base"]
    names = [name for name in checkpoints if name != "base"][:2]
    targets = {name: torch.empty_like(base.read(name)) for name in base.tensors}
    total = count(size)

    def recipe(method: str, **parameters: object) -> Recipe:
        stage = Stage("s", method, tuple(map(StageInput, names)), None, parameters)
        return Recipe(tuple(sources.values()), "base", (stage,))

    def segments(n: int) -> Recipe:
        rng = np.random.default_rng(0)
        cuts = np.sort(rng.choice(np.arange(1, total), n - 1, replace=False)).tolist()
        rows = rng.random((n, 2)).tolist()
        listed = [{"until": cut, "weights": row} for cut, row in zip(cuts, rows, strict=False)]
        return recipe("segments", segments=[*listed, {"weights": rows[-1]}], order="depth")

    def write(chosen: Recipe) -> Callable[[], None]:
        def run() -> None:
            merger.forget()
            merger.merge_into(chosen, targets)

        return run

    def products() -> None:
        used = [checkpoints[name] for name in names]
        GramSums(used, [sources[name] for name in names], ("rest",)).sums(0)

    linear = recipe("linear", weights=(0.4, 0.6), normalize=False)
    cases = {"linear": write(linear), "inner products": products}
    cases |= {f"{n} segments": write(segments(n)) for n in (1, 10, 100, 1000)}
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeat):
        for name, run in cases.items():
            begin = time.process_time()
            run()
            times[name].append(time.process_time() - begin)
    best = {name: min(found) for name, found in times.items()}
    for name in cases:
        print(f"{size} bfloat16, {name}: {best[name] / best['linear']:.2f}x linear")


if __name__ == "__main__":
    main()
