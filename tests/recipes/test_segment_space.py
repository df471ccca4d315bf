"""The space of segments: encodings without a fixed length, cuts, and what a run file may say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evomerge.config import parse_config, read_yaml
from evomerge.errors import ProblemsError, RecipeError, SearchError
from evomerge.merging.registry import METHODS
from evomerge.recipes.build import RecipeSpec, build_recipe, build_space
from evomerge.recipes.segment_space import Pieces, SegmentSpace
from evomerge.search.protocol import build_searcher
from tests.recipes.declared import N_LAYERS, model_tensors, sources
from tests.search.segmented import space_of

ROOT = Path(__file__).parents[2]
TENSORS = model_tensors()
TOTAL = 4 * 8 + N_LAYERS * (2 * 16 + 2 * 32 + 4) + 4 + 4 * 8
NAMES = ("a", "b", "c")


def space(raw: Any = "search", *more: Any, **changed: Any) -> SegmentSpace:
    stage = {"method": "segments", "inputs": list(NAMES), "segments": raw, **changed}
    spec = RecipeSpec(sources(*NAMES), "a", (stage, *more))
    found = build_space(spec, METHODS.declarations(), N_LAYERS, TENSORS)
    assert isinstance(found, SegmentSpace)
    return found


@pytest.mark.parametrize("groups", [[], ["attn", "rest"], ["mlp", "embed", "attn", "norm", "head"]])
def test_encodings_genomes_and_recipes_are_one(groups: list[str]) -> None:
    built = space({"search": {"chromosomes": groups}})
    assert sum(built.sizes) == TOTAL
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = built.draw(rng)
        genome = built.decode(x)
        np.testing.assert_array_equal(built.encode(genome), x)
        np.testing.assert_array_equal(built.snap(x), x)
        recipe = built.recipe(genome)
        assert built.genome_of(recipe) == genome
        assert built.active(x).all()
    if "norm" in groups:
        return
    same = built.recipe(built.decode(built.middle()))
    plain = {"method": "segments", "inputs": list(NAMES)}
    spec = RecipeSpec(sources(*NAMES), "a", (plain,))
    assert same.hash() == build_recipe(spec, METHODS.declarations()).hash()


@given(st.lists(st.integers(1, TOTAL - 1), unique=True, min_size=2, max_size=5).map(sorted))
def test_equal_neighbours_are_joined(cuts: list[int]) -> None:
    built = space()
    ends = np.array([*cuts, TOTAL])
    weights = np.tile([1.0, 0.0, 0.0], (len(ends), 1))
    weights[0] = 0.5
    snapped = built.unpack(built.snap(built.pack([Pieces(ends, weights)])))[0]
    assert snapped.ends.tolist() == [cuts[0], TOTAL]
    assert snapped.weights.tolist() == [[0.5] * 3, [1.0, 0.0, 0.0]]


def test_it_starts_from_each_source() -> None:
    starts = space().warm_starts()
    assert [label for label, _ in starts] == ["parent:a", "parent:b", "parent:c"]
    assert starts[1][1] == {"stage1.segments": [{"weights": [0.0, 1.0, 0.0]}]}


def test_later_stages_stay_as_they_are() -> None:
    later = {"method": "linear", "inputs": ["stage1", "c"], "weights": [0.5, 0.5]}
    built = space("search", later)
    recipe = built.recipe(built.decode(built.alone(0)))
    assert [stage.method for stage in recipe.stages] == ["segments", "linear"]
    assert built.genome_of(recipe) == built.decode(built.alone(0))
    other = space("search", {**later, "weights": [0.25, 0.75]})
    with pytest.raises(RecipeError, match="which this search can't represent"):
        other.genome_of(recipe)


def test_cuts_keep_to_blocks() -> None:
    assert space().cut(0, 77) == 77  # a small model is cut anywhere
    assert space({"search": {"block": 50}}).cut(0, 149) == 100
    built, dense = space_of(2, block="auto")
    assert built.cut(0, 77) == 77
    built._block = "auto"  # as for a large model
    borders = dense.sums(0)[0]
    assert [built.cut(0, index) for index in (0, 17, 275)] == [0, 16, borders[-2]]


def test_gram_matrices_add_up_to_any_index() -> None:
    built, dense = space_of(3)
    numbers = dense.parts[0]
    ends = np.array([1, 16, 17, 100, 276])
    for start, end, gram in zip([0, *ends], ends, built.gram(0, ends), strict=False):
        part = numbers[:, start:end]
        np.testing.assert_allclose(gram, part @ part.T, atol=1e-12)
    built.products = None
    built._sums.clear()
    with pytest.raises(RecipeError, match="no sources at hand"):
        built.gram(0, ends)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"search": {"block": 0}}, r"search.block: got 0, expected auto, any or a number"),
        ({"search": {"blocks": 4}}, "search.blocks: "),
        ({"search": {"chromosomes": ["attention"]}}, "expected a list of: embed, attn"),
        ({"search": {"chromosomes": ["attn"]}}, "leave out tensors of the role embed. Add embed"),
        ({"search": {"chromosomes": ["other", "rest"]}}, "no tensors for the chromosome other"),
        ({"search": 3}, "expected search, or {search"),
        ({"search": {}, "low": 0}, "expected search, or {search"),
    ],
)
def test_mistakes_are_named(raw: Any, message: str) -> None:
    with pytest.raises(ProblemsError, match=message):
        space(raw)


def test_segments_are_searched_alone_and_between_sources() -> None:
    later = {"method": "linear", "inputs": ["stage1", "c"], "weights": {"search": {}}}
    with pytest.raises(
        ProblemsError, match=r"segments are searched alone, but so is stage2\.weigh"
    ):
        space("search", later)
    stages = [
        {"method": "linear", "inputs": ["a", "b"], "weights": [0.5, 0.5]},
        {"method": "segments", "inputs": ["stage1", "c"], "segments": "search"},
    ]
    spec = RecipeSpec(sources(*NAMES), "a", tuple(stages))
    with pytest.raises(ProblemsError, match=r"'stage1' is a stage or shifted\. List sources"):
        build_space(spec, METHODS.declarations(), N_LAYERS, TENSORS)


def test_what_is_no_encoding_is_refused() -> None:
    built = space()
    good = built.pack([Pieces(np.array([5, TOTAL]), np.eye(3)[:2])])
    for wrong in (good[:-1], np.append(good, 1.0), good[:0], np.where(good == 5, TOTAL, good)):
        with pytest.raises(RecipeError, match="got "):
            built.unpack(wrong)
    with pytest.raises(RecipeError, match=r"expected stage1\.segments"):
        built.encode({"path": []})
    grouped = space({"search": {"chromosomes": ["attn", "rest"]}})
    with pytest.raises(RecipeError, match="isn't given by attn, rest"):
        grouped.encode(built.decode(good))


def test_searchers_of_numbers_refuse_it_and_random_takes_it() -> None:
    built, _ = space_of(2)
    for name in ("cma_es", "catcma", "grid", "sobol", "optuna", "path_evolution"):
        with pytest.raises(SearchError, match="this run searches segments"):
            build_searcher(name, built, seed=0)
    searcher = build_searcher("random", built, seed=0)
    proposals = [*searcher.ask(5), *searcher.ask()]
    assert all(len(built.unpack(proposal.genome)[0].ends) <= 2 for proposal in proposals)
    assert len({proposal.genome.tobytes() for proposal in proposals}) == len(proposals)


def test_the_documented_examples_are_taken() -> None:
    config = read_yaml(ROOT / "configs" / "m2n2.yaml")
    text = (ROOT / "docs" / "niches.md").read_text(encoding="utf-8")
    run, recipe, searched = map(
        yaml.safe_load, re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    )
    assert parse_config(config | run | {"dataflow": None}, where="x").search.searcher == "m2n2"
    assert run["search"]["options"] == config["search"]["options"]
    (stage,) = config["recipe"]["parameters"]
    assert run["recipe"]["parameters"] == [stage]
    spec = RecipeSpec(sources("math", "code"), "math", tuple(recipe["parameters"]))
    assert len(build_recipe(spec, METHODS.declarations()).stages[0].parameters["segments"]) == 2
    assert space(searched["segments"]).chromosomes == ("attn", "mlp", "rest")
