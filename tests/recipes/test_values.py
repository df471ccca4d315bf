"""Values over the model: canonical form and evaluation."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import RecipeError
from evomerge.recipes.declarations import Parameter
from evomerge.recipes.values import check_filter, evaluate, matches, parse_value
from tests.recipes.declared import N_LAYERS, model_tensors

TENSORS = model_tensors()
NUMBER = Parameter("weight", "float", "A number.", high=9.0)
numbers = st.floats(-9, 9, allow_nan=False)
filters = st.sampled_from(["attn", "mlp", "norm", "re:q_proj", "has:layers.1", "head"])


def nodes(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    case = st.fixed_dictionaries({"filter": filters, "value": inner})
    return st.one_of(
        st.lists(numbers, min_size=1, max_size=4).map(lambda v: {"gradient": v}),
        st.integers(1, 7).flatmap(
            lambda k: st.fixed_dictionaries(
                {"block": st.just(k), "values": st.lists(numbers, min_size=6, max_size=6)}
            )
        ),
        st.tuples(st.lists(case, max_size=3), inner).map(
            lambda pair: {"by": [*pair[0], {"value": pair[1]}]}
        ),
        st.tuples(st.dictionaries(st.sampled_from(list(TENSORS)), inner, max_size=3), inner).map(
            lambda pair: {"tensors": pair[0], "else": pair[1]}
        ),
    )


values = st.recursive(numbers, nodes, max_leaves=8)


def parse(raw: Any) -> Any:
    return parse_value(raw, NUMBER.check, "weights")


@given(values)
def test_the_canonical_form_is_a_fixed_point_and_keeps_the_meaning(raw: Any) -> None:
    value = parse(raw)
    assert parse(value) == value
    for tensor in TENSORS.values():
        assert evaluate(value, tensor, N_LAYERS) == evaluate(raw, tensor, N_LAYERS)


@given(values, numbers)
def test_equal_leaves_become_one_value(raw: Any, number: float) -> None:
    def level(node: Any) -> Any:
        if isinstance(node, dict):
            return {k: v if k in ("filter", "block") else level(v) for k, v in node.items()}
        return [level(item) for item in node] if isinstance(node, list) else number

    assert parse(level(raw)) == number


def test_a_table_without_else_keeps_its_names() -> None:
    raw = {"tensors": {"lm_head.weight": 1.0}}
    assert parse(raw) == raw
    assert parse({"by": [{"filter": "head", "value": raw}, {"value": 1.0}]}) == {
        "by": [{"value": raw, "filter": "head"}, {"value": 1.0}]
    }
    with pytest.raises(RecipeError, match="no value for tensor 'model"):
        evaluate(raw, TENSORS["model.norm.weight"], N_LAYERS)


def test_numbers_are_one_kind() -> None:
    assert repr(parse(1)) == "1.0"
    assert repr(parse(-0.0)) == "0.0"
    whole = Parameter("bottom", "int", "A whole number.")
    assert repr(parse_value(2, whole.check, "bottom", kind="int")) == "2"
    with pytest.raises(RecipeError, match="only numbers can be interpolated"):
        parse_value([1, 2], whole.check, "bottom", kind="int")


def test_a_gradient_hits_its_anchors() -> None:
    value = parse([0, 1, 0.5])
    layers = [
        evaluate(value, TENSORS[f"model.layers.{layer}.mlp.up_proj.weight"], 5)
        for layer in range(5)
    ]
    assert layers == [0, 0.5, 1, 0.75, 0.5]
    assert evaluate(value, TENSORS["model.embed_tokens.weight"], 5) == 0
    assert evaluate(value, TENSORS["lm_head.weight"], 5) == 0.5


def test_blocks_take_in_what_stands_around_the_layers() -> None:
    value = parse({"block": 4, "values": [1, 2]})
    assert evaluate(value, TENSORS["model.embed_tokens.weight"], N_LAYERS) == 1
    assert evaluate(value, TENSORS["lm_head.weight"], N_LAYERS) == 2
    with pytest.raises(RecipeError, match="has 2 values, but the model has 12 layers"):
        evaluate(value, TENSORS["lm_head.weight"], 12)


def test_the_first_filter_wins() -> None:
    value = parse({"by": [{"filter": "re:q_proj", "value": 1}, {"filter": "attn", "value": 2}]})
    assert evaluate(value, TENSORS["model.layers.0.self_attn.q_proj.weight"], N_LAYERS) == 1
    assert evaluate(value, TENSORS["model.layers.0.self_attn.o_proj.weight"], N_LAYERS) == 2
    with pytest.raises(RecipeError, match=r"no filter matches tensor 'lm_head.weight' \(role head"):
        evaluate(value, TENSORS["lm_head.weight"], N_LAYERS)
    assert matches("has:o_proj", TENSORS["model.layers.0.self_attn.o_proj.weight"])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (10, "weights: got 10, expected at most 9"),
        ({"gradient": []}, "weights.gradient: got"),
        ({"gradient": [[1]]}, "inside a list, expected plain values"),
        ({"block": 0, "values": [1]}, "weights.block: got 0"),
        ({"blok": 1}, "weights: got a mapping with blok"),
        ({"by": [{"filter": "atn", "value": 1}]}, r"weights.by\[0\].filter: got 'atn'"),
        ({"by": [{"filter": "attn"}]}, r"weights.by\[0\]: got"),
        ({"by": {}}, r"weights.by: got"),
        ({"tensors": {"a": "x"}}, "weights.tensors: got 'x', expected a number"),
        (float("nan"), "expected a finite number"),
    ],
)
def test_mistakes_name_the_key(raw: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(raw)


def test_filters() -> None:
    assert (
        check_filter("re:(") == "'re:(' is not a regular expression: missing ), unterminated "
        "subpattern at position 0."
    )
    assert "expected a role" in str(check_filter(3))
    assert check_filter("attn") is None
