"""Merging from disk to disk: the same bits, layer stacks, configuration, memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from evomerge.errors import MergeError, ModelError
from evomerge.merging.engine import Merger
from evomerge.merging.stream import merge_to_disk
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.resident import load_resident, parameters_by_name
from evomerge.recipes.recipe import Dataflow, Recipe, Source, Stage, StageInput, Step
from tests.fixtures_models import tiny_model
from tests.merging.lab import Lab, same, weights, write


def contents(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = Checkpoint.open(folder)
    return {name: checkpoint.read(name) for name in sorted(checkpoint.tensors)}


def stack(*segments: tuple[str, int, int], outside: str = "a") -> Dataflow:
    steps = [Step(name, layer) for name, start, stop in segments for layer in range(start, stop)]
    return Dataflow(tuple(steps), outside, outside, outside)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "method", ["linear", "task_arithmetic", "slerp", "ties", "dare_linear", "dare_ties"]
)
def test_writes_what_a_worker_merges(tmp_path: Path, method: str, dtype: str) -> None:
    lab = Lab.make(tmp_path / "lab", n=2, dtype=dtype)
    recipe = lab.recipe(method, "ab")
    merge_to_disk(recipe, lab.merger(), tmp_path / "out", max_shard_bytes=50_000)
    into = {name: torch.zeros_like(tensor) for name, tensor in lab.models["base"].items()}
    worker = lab.merger()
    worker.merge_into(lab.recipe(method, "ba"), into)  # a worker has merged others before
    worker.merge_into(recipe, into)
    assert same(contents(tmp_path / "out"), {name: into[name] for name in sorted(into)})


def test_merged_models_load_with_transformers(tmp_path: Path) -> None:
    folders = {n: tiny_model("llama", tmp_path / n, seed=i) for i, n in enumerate(["base", "a"])}
    checkpoints = {name: Checkpoint.open(folder) for name, folder in folders.items()}
    sources = {n: Source(n, n, f"{i:064x}") for i, n in enumerate(folders)}
    stage = Stage(
        "m", "task_arithmetic", (StageInput("a"),), "base", {"weights": (0.5,), "scale": 1.0}
    )
    recipe = Recipe(tuple(sources.values()), "base", (stage,), dtype="bfloat16", tokenizer="a")
    merger = Merger(checkpoints, sources)
    merge_to_disk(recipe, merger, tmp_path / "out", extra_files={"README.md": "card"})
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    assert (tmp_path / "out" / "tokenizer.json").is_file()
    assert (tmp_path / "out" / "README.md").read_text() == "card"
    loaded = load_resident(tmp_path / "out", dtype=None, device="cpu")
    into = load_resident(folders["base"], dtype="bfloat16", device="cpu")
    merger.merge_into(recipe, parameters_by_name(into, checkpoints["base"]))
    tokens = torch.arange(1, 9).view(1, -1)
    assert torch.equal(loaded(tokens).logits, into(tokens).logits)


def test_an_identity_stack_gives_the_model(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path / "lab", n=1)
    flow = stack(("a", 0, 1), ("a", 1, 2))
    merge_to_disk(lab.staged([], dataflow=flow), lab.merger(), tmp_path / "out")
    assert same(contents(tmp_path / "out"), contents(tmp_path / "lab" / "a"))


def test_stacks_renumber_layers(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path / "lab", n=2)
    halved = lab.stage("halved", "passthrough", "b", scale=0.5)
    steps = (Step("a", 0), Step("a", 1), Step("halved", 1), Step("b", 0))
    flow = Dataflow(steps, "b", "a", "b")
    merge_to_disk(lab.staged([halved], dataflow=flow), lab.merger(), tmp_path / "out")
    found = contents(tmp_path / "out")
    a, b = lab.models["a"], lab.models["b"]
    layer = "model.layers.{}.self_attn.q_proj.weight"
    expected = [a[layer.format(0)], a[layer.format(1)], 0.5 * b[layer.format(1)]]
    for index, tensor in enumerate([*expected, b[layer.format(0)]]):
        assert torch.equal(found[layer.format(index)], tensor)
    assert torch.equal(found["model.embed_tokens.weight"], b["model.embed_tokens.weight"])
    assert torch.equal(found["model.norm.weight"], a["model.norm.weight"])
    assert torch.equal(found["lm_head.weight"], b["lm_head.weight"])
    assert Checkpoint.open(tmp_path / "out").n_layers == 4


def test_shifted_inputs_read_other_layers(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path / "lab", n=2)
    options = {"weights": (0.5, 0.5), "normalize": True}
    mixed = Stage("mixed", "linear", (StageInput("a"), StageInput("b", 1)), None, options)
    recipe = lab.staged([mixed], dataflow=stack(("mixed", 0, 1)))
    merge_to_disk(recipe, lab.merger(), tmp_path / "out")
    layer = "model.layers.{}.self_attn.q_proj.weight"
    expected = 0.5 * lab.models["a"][layer.format(0)] + 0.5 * lab.models["b"][layer.format(1)]
    torch.testing.assert_close(contents(tmp_path / "out")[layer.format(0)], expected)


def test_lists_by_layer_follow_the_stack(tmp_path: Path) -> None:
    kinds = {"a": ["full", "sliding"], "base": ["full", "full"]}
    lab = Lab.make(tmp_path / "lab", n=1)
    for name, layer_types in kinds.items():
        lab.checkpoints[name] = write(
            tmp_path / name, lab.models[name], layer_types=layer_types, mlp_only_layers=[1]
        )
    flow = stack(("a", 1, 2), ("base", 0, 2), ("a", 1, 2))
    merge_to_disk(lab.staged([], dataflow=flow), lab.merger(), tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["layer_types"] == ["sliding", "full", "full", "sliding"]
    assert config["mlp_only_layers"] == [0, 2, 3]
    assert config["num_hidden_layers"] == 4


def test_stacks_keep_the_phase_of_periodic_layers(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path / "lab", n=1)
    for name in ("base", "a"):
        lab.checkpoints[name] = write(tmp_path / name, lab.models[name], decoder_sparse_step=2)
    merger = lab.merger()
    merge_to_disk(
        lab.staged([], dataflow=stack(("a", 0, 2), ("base", 0, 2))), merger, tmp_path / "whole"
    )
    with pytest.raises(MergeError, match="decoder_sparse_step = 2"):
        merge_to_disk(lab.staged([], dataflow=stack(("a", 1, 2))), merger, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


def test_stacks_of_models_of_unequal_depth(tmp_path: Path) -> None:
    shallow = {name: tensor for name, tensor in weights(5).items() if ".layers.1." not in name}
    lab = Lab(tmp_path / "lab", {"base": weights(0), "a": shallow})
    recipe = lab.staged([], dataflow=stack(("base", 0, 2), ("a", 0, 1), outside="base"))
    merge_to_disk(recipe, lab.merger(), tmp_path / "out")
    assert Checkpoint.open(tmp_path / "out").n_layers == 3


def test_a_fault_leaves_nothing_behind(tmp_path: Path) -> None:
    lab = Lab.make(tmp_path / "sound", n=1)
    lab.models["a"]["lm_head.weight"][0, 0] = float("nan")
    broken = Lab(tmp_path / "broken", lab.models)
    with pytest.raises(MergeError, match="NaN"):
        merge_to_disk(broken.recipe("passthrough", "a"), broken.merger(), tmp_path / "x" / "out")
    assert list((tmp_path / "x").iterdir()) == []
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ModelError, match="exists"):
        merge_to_disk(lab.recipe("passthrough", ["base"]), lab.merger(), tmp_path / "full")


MEASURE = """
import sys
from pathlib import Path
import evomerge.merging.stream
from tests.merging.lab import Lab
from evomerge.models.checkpoint import Checkpoint
from evomerge.recipes.recipe import Source
import threading

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024

folder = Path(sys.argv[1])
lab = Lab(folder / "unused", {})
for i, name in enumerate(("base", "a", "b")):
    lab.checkpoints[name] = Checkpoint.open(folder / name)
    lab.sources[name] = Source(name, name, f"{i:064x}")
for method in ("linear", "ties", "dare_ties"):
    before = peak = anonymous()
    stop = threading.Event()
    def poll():
        global peak
        while not stop.wait(0.002):
            peak = max(peak, anonymous())
    thread = threading.Thread(target=poll)
    thread.start()
    evomerge.merging.stream.merge_to_disk(lab.recipe(method, "ab"), lab.merger(), folder / method)
    stop.set()
    thread.join()
    print(method, peak - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_holds_little_more_than_one_tensor(tmp_path: Path) -> None:
    big = {f"model.layers.{i}.mlp.up_proj.weight": (2048, 4096) for i in range(4)}
    for seed, name in enumerate(("base", "a", "b")):
        generator = torch.Generator().manual_seed(seed)
        tensors = {n: torch.randn(s, generator=generator).bfloat16() for n, s in big.items()}
        write(tmp_path / name, tensors)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    one = 2048 * 4096 * 2  # 17 MB; a model has four, and three models are read
    peaks = dict(line.split() for line in done.stdout.splitlines())
    assert peaks.keys() == {"linear", "ties", "dare_ties"}
    assert all(int(peak) < 1.5 * one + 20_000_000 for peak in peaks.values()), peaks
