"""mergekit's files: every tensor gets the coefficients that mergekit's own rules give it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from evomerge.errors import ProblemsError, RecipeError
from evomerge.models.architecture import TensorFacts
from evomerge.recipes.mergekit import Imported, export_mergekit, import_mergekit, is_mergekit
from evomerge.recipes.recipe import Recipe, Source, Stage, Step
from evomerge.recipes.values import evaluate
from tests.recipes.declared import DECLARATIONS, N_LAYERS, model_tensors

FILES = sorted((Path(__file__).parent / "mergekit").glob("*.yml"))
TENSORS = {name: fact for name, fact in model_tensors().items() if fact.dtype != "I64"}


def locate(name: str, path: str, revision: str | None) -> Source:
    return Source(name, path, f"{path}@{revision}", revision)


def read(name: str) -> dict[str, Any]:
    path = Path(__file__).parent / "mergekit" / f"{name}.yml"
    return yaml.safe_load(path.read_text())  # type: ignore[no-any-return]


def load(raw: Mapping[str, Any]) -> Imported:
    return import_mergekit(
        raw,
        DECLARATIONS,
        locate_source=locate,
        count_layers=lambda path, revision: N_LAYERS,
        where="merge.yml",
    )


# mergekit's rules, written down once more as mergekit's planner applies them


def theirs(setting: Any, name: str, t: float) -> Any:
    if isinstance(setting, dict):
        setting = [setting]
    if not isinstance(setting, list):
        return setting
    if isinstance(setting[0], dict):
        for case in setting:
            if case.get("filter") in (None, "*") or case["filter"] in name:
                return theirs(case["value"], name, t)
        return None
    at = t * (len(setting) - 1)
    low = int(at)
    high = min(low + 1, len(setting) - 1)
    return (1 - (at - low)) * setting[low] + (at - low) * setting[high]


def model_id(raw: Any) -> str:
    if isinstance(raw, dict):
        return f"{raw['model']['path']}@{raw['model']['revision']}"
    return raw if "@" in raw else f"{raw}@None"


def their_plan(raw: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return (kind of tensor, model → (its layer, weight, density, scale) and shared) in order."""
    base = model_id(raw["base_model"]) if "base_model" in raw else None
    if "models" in raw:
        entries = [{**m, "layer_range": [0, N_LAYERS]} for m in raw["models"]]
        if base and base not in [model_id(m["model"]) for m in entries]:
            entries.append({"model": raw["base_model"], "layer_range": [0, N_LAYERS]})
        slices = [{"sources": entries}]
    else:
        slices = raw["slices"]
    defaults = {"density": 1.0, "scale": 1.0, "lambda": 1.0}

    def cell(piece: dict[str, Any], name: str, offset: int | None, t: float) -> dict[str, Any]:
        def get(parameter: str, entry: dict[str, Any] | None) -> Any:
            for scope in (entry, piece, raw):
                found = ((scope or {}).get("parameters") or {}).get(parameter)
                if found is not None and (value := theirs(found, name, t)) is not None:
                    return value
            return defaults.get(parameter)

        result: dict[str, Any] = {"t": get("t", None), "lambda": get("lambda", None)}
        for entry in piece["sources"]:
            layer = None if offset is None else entry["layer_range"][0] + offset
            values = [get(p, entry) for p in ("weight", "density", "scale")]
            result[model_id(entry["model"])] = (layer, *values)
        return result

    kinds = [n.partition(".0.")[2] for n in TENSORS if ".layers.0." in n]
    plan = [("model.embed_tokens.weight", cell(slices[0], "model.embed_tokens.weight", None, 0.0))]
    out = 0
    for piece in slices:
        n = piece["sources"][0]["layer_range"][1] - piece["sources"][0]["layer_range"][0]
        for offset in range(n):
            t = offset / (n - 1) if n > 1 else 1.0
            for kind in kinds:
                plan.append((kind, cell(piece, f"model.layers.{out}.{kind}", offset, t)))
            out += 1
    for name in ("model.norm.weight", "lm_head.weight"):
        plan.append((name, cell(slices[-1], name, None, 0.0)))
    return plan


def our_plan(recipe: Recipe) -> list[tuple[str, Stage | str, TensorFacts]]:
    """Return (kind, stage or source, tensor in its numbering) of each output tensor, in order."""
    stages = {stage.name: stage for stage in recipe.stages}
    flow = recipe.dataflow
    last = recipe.stages[-1].name if recipe.stages else ""
    steps = flow.steps if flow else [Step(last, layer) for layer in range(N_LAYERS)]
    ends = (flow.embedding, flow.norm, flow.head) if flow else (last,) * 3
    names = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    outer = [
        (name, stages.get(end, end), TENSORS[name]) for name, end in zip(names, ends, strict=True)
    ]
    inner = [
        (fact.name.partition(f".{step.layer}.")[2], stages.get(step.source, step.source), fact)
        for step in steps
        for fact in TENSORS.values()
        if fact.layer == step.layer
    ]
    return [outer[0], *inner, *outer[1:]]


def check_same(raw: dict[str, Any], recipe: Recipe) -> None:
    method = raw["merge_method"]
    base = model_id(raw["base_model"]) if "base_model" in raw else None
    sources = {source.name: source.sha256 for source in recipe.sources}
    expected, got = their_plan(raw), our_plan(recipe)
    assert [kind for kind, _ in expected] == [kind for kind, _, _ in got]
    for (kind, cell), (_, stage, fact) in zip(expected, got, strict=True):
        models = [m for m in cell if m not in ("t", "lambda")]
        if isinstance(stage, str):
            assert models == [sources[stage]]
            assert cell[models[0]][0] == fact.layer
            assert cell[models[0]][3] == 1.0
            continue
        assert stage.method == method

        def at(value: Any, fact: TensorFacts = fact) -> Any:
            return evaluate(value, fact, N_LAYERS)

        wanted = [m for m in models if m != base or method in ("linear", "passthrough", "slerp")]
        if method == "slerp":
            wanted.sort(key=lambda m: m != base)
            assert at(stage.parameters["t"]) == cell["t"], kind
        assert [sources[i.name] for i in stage.inputs] == wanted
        if fact.layer is not None:
            assert [fact.layer + i.shift for i in stage.inputs] == [cell[m][0] for m in wanted]
        normalize = (raw.get("parameters") or {}).get("normalize")
        by_hand = normalize and method in ("task_arithmetic", "dare_linear")
        total = sum(cell[m][1] for m in wanted) if by_hand else 1.0
        for index, m in enumerate(wanted):
            if "weights" in stage.parameters:
                assert at(stage.parameters["weights"][index]) == cell[m][1] / total, (kind, m)
            if "densities" in stage.parameters:
                assert at(stage.parameters["densities"][index]) == cell[m][2], (kind, m)
        if method == "passthrough":
            assert at(stage.parameters["scale"]) == cell[wanted[0]][3]
        elif "scale" in stage.parameters:
            assert at(stage.parameters["scale"]) == cell["lambda"]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_tensor_gets_mergekits_coefficients(path: Path) -> None:
    raw = read(path.stem)
    assert is_mergekit(raw)
    check_same(raw, load(raw).recipe)


def test_there_are_a_dozen_files() -> None:
    assert len(FILES) >= 12
    assert {read(path.stem)["merge_method"] for path in FILES} == {
        "linear",
        "slerp",
        "task_arithmetic",
        "ties",
        "dare_linear",
        "dare_ties",
        "passthrough",
    }


def test_mergekits_defaults_become_our_options() -> None:
    def options(name: str) -> Mapping[str, Any]:
        return load(read(name)).recipe.stages[0].parameters

    assert options("linear")["normalize"] is True
    assert options("ties")["normalize"] is True
    assert options("ties-base-listed")["normalize"] is False
    assert options("ties-base-listed")["scale"] == 0.8
    assert options("ties")["zero_sign"] == "plus"
    dare = options("dare-ties")
    assert (dare["normalize"], dare["rescale"], dare["skip_1d"]) == (False, "l1", False)
    assert options("dare-linear")["rescale"] == "none"
    assert options("dare-linear")["weights"] == (0.5, 0.5)
    assert options("slerp-gradient")["norm_mode"] == "raw"


def test_dtype_base_and_tokenizer() -> None:
    slerp = load(read("slerp-base-second"))
    assert slerp.recipe.base == "code"
    assert slerp.recipe.source("code").revision == "v2"
    assert slerp.recipe.tokenizer == "chat"
    assert slerp.recipe.dtype == "bfloat16"
    assert not slerp.union_tokenizer
    assert load(read("dare-ties")).union_tokenizer
    dare = load(read("dare-linear")).recipe
    assert (dare.dtype, dare.tokenizer) == ("float32", "base")
    assert load(read("task-arithmetic")).recipe.dtype is None
    assert load(read("linear")).recipe.base == "orca_mini_v3_13b"


def test_models_and_slices_of_all_layers_are_one_recipe() -> None:
    sliced = load(read("slices-ties")).recipe
    raw = read("slices-ties")
    entries = raw.pop("slices")[0]["sources"]
    raw["models"] = [{k: v for k, v in e.items() if k != "layer_range"} for e in entries]
    assert load(raw).recipe.hash() == sliced.hash()
    assert sliced.dataflow is None


def test_stacks_become_a_dataflow() -> None:
    stack = load(read("passthrough-stack")).recipe
    assert stack.stages == ()
    assert stack.dataflow is not None
    steps = [Step("first", layer) for layer in range(4)]
    steps += [Step("second", layer) for layer in range(2, 6)]
    assert stack.dataflow.steps == tuple(steps)
    assert (stack.dataflow.embedding, stack.dataflow.head) == ("first", "second")
    shifted = load(read("slices-slerp")).recipe
    assert [i.shift for i in shifted.stages[1].inputs] == [0, 1]


def test_sources_of_one_name_are_told_apart() -> None:
    raw = read("linear")
    raw["models"][0]["model"] = "a/model"
    raw["models"][1]["model"] = "b/model"
    recipe = load(raw).recipe
    assert [source.name for source in recipe.sources] == ["model", "model-2", "Platypus2-13B"]


def change(name: str, **keys: Any) -> dict[str, Any]:
    raw = read(name)
    for key, value in keys.items():
        raw[key] = value
    return raw


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (change("linear", merge_method="lineer"), r"merge_method: .*did you mean 'linear'"),
        (change("linear", merge_method="della"), r"merge_method: 'della' isn't supported"),
        (change("linear", chat_template="chatml"), r"chat_template: got 'chatml'; only auto .*Rem"),
        (change("linear", chat_template="{{ x }}" * 50), r"chat_template: got '.{41}'; only auto"),
        (change("linear", modules={}), r"modules: isn't supported here; use models"),
        (change("linear", dtyp="float16"), r"dtyp: unknown key; did you mean 'dtype'"),
        (change("linear", dtype="fp16"), r"dtype: got 'fp16'"),
        (change("linear", slices=[]), None),
        (change("linear", slices=[{}]), r"models: got models and slices; expected one"),
        (change("linear", models=[{"model": "a+lora"}]), r"models\[0\].model: .*LoRA"),
        (change("linear", models=[{"model": "a", "weight": 1}]), r"models\[0\]: got .*expected"),
        (
            change("linear", models=[{"model": {"model": {"path": "a"}, "lora": "b"}}]),
            r"models\[0\].model: LoRA adapters .* Merge the adapter",
        ),
        (change("ties", base_model="a+b"), r"base_model: got 'a\+b': a LoRA adapter"),
        (change("linear", models=[{"model": "a"}]), r"models\[0\].parameters.weight: missing"),
        (change("linear", parameters={"weight": "1"}), r"parameters.weight: got '1', expected"),
        (
            change("linear", parameters={"weight": [{"filter": "mlp"}]}),
            r"parameters.weight\[0\]: got .*expected \{filter: TEXT",
        ),
        (
            change("ties", parameters={"normalize": [{"filter": "a", "value": True}]}),
            r"parameters.normalize: differs between tensors",
        ),
        (change("ties", parameters={"rescale": True}), r"parameters.rescale: isn't supported"),
        (change("ties", base_model=None), r"base_model: missing; ties needs it"),
        (change("slerp-gradient", base_model="other"), r"base_model 'other' isn't among"),
        (
            change("slerp-gradient", models=read("ties")["models"], slices=None),
            r"models: got 3 models; slerp takes two",
        ),
        (change("passthrough-stack", models=None, base_model="x"), None),
        (change("ties", tokenizer_source="nobody"), r"tokenizer_source: 'nobody' isn't among"),
        (
            change("ties", tokenizer={"source": "base", "tokens": {"<s>": {}}}),
            r"tokenizer.tokens: isn't supported",
        ),
        (
            change("task-arithmetic", parameters={"weight": 1.0, "normalize": True}),
            r"parameters.normalize: with weights that differ .* Divide the weights",
        ),
        (
            change(
                "passthrough-stack",
                slices=[{"sources": [{"model": "a", "layer_range": [0, 9]}]}],
            ),
            r"slices\[0\].sources\[0\].layer_range: ends at 9, but a has 6 layers",
        ),
        (
            change(
                "passthrough-stack",
                slices=[{"sources": [{"model": "a", "layer_range": [3, 3]}]}],
            ),
            r"layer_range: got \[3, 3\], expected",
        ),
        (
            change(
                "slices-ties",
                slices=[
                    {
                        "sources": [
                            {"model": "models/base", "layer_range": [0, 6]},
                            {"model": "models/math", "layer_range": [0, 5]},
                        ]
                    }
                ],
            ),
            r"slices\[0\]: the models have unequal numbers of layers",
        ),
    ],
)
def test_mistakes_name_their_key(raw: dict[str, Any], message: str | None) -> None:
    if message is None:
        load(raw)
        return
    with pytest.raises(ProblemsError, match=message):
        load({key: value for key, value in raw.items() if value is not None})


def test_an_adapter_is_told_before_its_folder_is_looked_for() -> None:
    def count(path: str, revision: str | None) -> int:
        raise AssertionError(path)

    raw = {"merge_method": "linear", "models": [{"model": "a+b", "parameters": {"weight": 1}}]}
    with pytest.raises(ProblemsError, match="LoRA adapter"):
        import_mergekit(raw, DECLARATIONS, locate_source=locate, count_layers=count)


@pytest.mark.parametrize("template", ["auto", None, ""])
def test_the_template_of_the_tokenizers_source_is_kept(template: str | None) -> None:
    plain = load(read("ties"))
    found = load(change("ties", chat_template=template))
    assert found.recipe == plain.recipe
    assert found.auto_template is (template == "auto")
    assert not plain.auto_template


@pytest.mark.parametrize(
    ("name", "key", "ignored"),
    [
        ("dare-ties", "epsilon", True),
        ("linear", "wieght", True),
        ("slerp-gradient", "normalize", True),
        ("task-arithmetic", "density", True),
        ("ties", "int8_mask", False),
        ("ties", "normalize", False),
    ],
)
def test_parameters_that_the_method_does_not_know_are_ignored_and_named(
    name: str, key: str, ignored: bool
) -> None:
    raw = read(name)
    plain = load(raw).recipe
    found = load({**raw, "parameters": {**(raw.get("parameters") or {}), key: 1}})
    assert found.recipe.hash() == plain.hash()
    told = [item.message for item in found.ignored if item.key == f"parameters.{key}"]
    start = f"is ignored, as {raw['merge_method']} has no such parameter; "
    assert [text.startswith(start) for text in told] == [True] * ignored


def test_a_setting_of_one_model_that_is_ignored_names_the_model() -> None:
    raw = read("dare-ties")
    index = next(i for i, m in enumerate(raw["models"]) if m.get("parameters"))
    raw["models"][index]["parameters"]["epsilon"] = 0.1
    assert [item.key for item in load(raw).ignored] == [f"models[{index}].parameters.epsilon"]


EXPORTED = [p for p in FILES if "dare" not in p.stem and not p.stem.startswith("slices-slerp")]


@pytest.mark.parametrize("path", EXPORTED, ids=[path.stem for path in EXPORTED])
def test_export_reads_back_as_the_same_merge(path: Path) -> None:
    recipe = load(read(path.stem)).recipe
    if path.stem == "passthrough-scaled":
        written = export_mergekit(recipe)
        assert yaml.safe_load(written)["slices"] == read(path.stem)["slices"]
        return
    written = export_mergekit(recipe, tensors=TENSORS, n_layers=N_LAYERS)
    again = load(yaml.safe_load(written)).recipe
    assert again.dtype == recipe.dtype
    assert again.dataflow == recipe.dataflow
    assert again.source(again.tokenizer).sha256 == recipe.source(recipe.tokenizer).sha256
    for stage, other in zip(recipe.stages, again.stages, strict=True):
        assert [again.source(i.name).path for i in other.inputs] == [
            recipe.source(i.name).path for i in stage.inputs
        ]
        assert set(other.parameters) == set(stage.parameters)
        for name, value in stage.parameters.items():
            pairs = [(value, other.parameters[name])]
            if isinstance(value, tuple):
                pairs = list(zip(value, other.parameters[name], strict=True))
            for mine, read_back in pairs:
                for fact in TENSORS.values():
                    assert evaluate(mine, fact, N_LAYERS) == evaluate(read_back, fact, N_LAYERS)


def ties(**options: Any) -> Recipe:
    recipe = load(read("ties-base-listed")).recipe
    stage = recipe.stages[0]
    changed = Stage(
        stage.name, stage.method, stage.inputs, stage.base, {**stage.parameters, **options}
    )
    return Recipe(recipe.sources, recipe.base, (changed,), tokenizer=recipe.tokenizer)


def test_blocks_are_written_by_tensor_name() -> None:
    recipe = ties(weights=({"block": 2, "values": [0.1, 0.2, 0.3]}, 1.0))
    with pytest.raises(RecipeError, match=r"weights\[0\] differs by block, role or tensor"):
        export_mergekit(recipe)
    plain = yaml.safe_load(export_mergekit(recipe, tensors=TENSORS, n_layers=N_LAYERS))
    cases = plain["models"][0]["parameters"]["weight"]
    assert {"filter": "model.layers.3.", "value": 0.2} in cases
    again = load(plain).recipe.stages[0].parameters["weights"][0]
    for fact in TENSORS.values():
        assert evaluate(again, fact, N_LAYERS) == evaluate(
            recipe.stages[0].parameters["weights"][0], fact, N_LAYERS
        )


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (ties(zero_sign="drop"), "counts a sum of zero as positive"),
        (load(read("dare-ties")).recipe, "random numbers are others"),
        (
            Recipe(ties().sources, ties().base, ties().stages * 2),
            "it has 2 stages",
        ),
    ],
)
def test_export_says_why_there_is_no_counterpart(recipe: Recipe, why: str) -> None:
    with pytest.raises(RecipeError, match=f"no exact mergekit counterpart: .*{why}"):
        export_mergekit(recipe)
