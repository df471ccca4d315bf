from typing import Any

import pytest

from evomerge.models.architecture import TensorFacts
from evomerge.service.reading.candidate_models import Coefficients
from evomerge.service.reading.coefficients import coefficients_of


def recipe(**options: Any) -> dict[str, Any]:
    stage = {
        "name": "stage1",
        "method": "ties",
        "inputs": [{"source": "math", "shift": 0}, {"source": "code", "shift": 0}],
        "base": "base",
        "options": options,
    }
    return {"sources": {}, "base": "base", "parameters": [stage]}


def rows(depth: int | None = None, **options: Any) -> list[tuple[Any, ...]]:
    (found,) = coefficients_of(recipe(**options), depth)
    Coefficients.model_validate(found)
    return [(r["input"], r["role"], r["before"], r["layers"], r["after"]) for r in found["rows"]]


def test_each_input_has_its_numbers_by_layer() -> None:
    blocks = {"block": 2, "values": [0.1, 0.2]}
    assert rows(3, weights=[0.5, blocks]) == [
        ("math", "all", 0.5, [0.5, 0.5, 0.5], 0.5),
        ("code", "all", 0.1, [0.1, 0.1, 0.2], 0.2),
    ]


def test_a_gradient_is_interpolated_over_depth() -> None:
    assert rows(5, scale={"gradient": [0.0, 1.0]}) == [
        (None, "all", 0.0, [0.0, 0.25, 0.5, 0.75, 1.0], 1.0)
    ]


def test_where_depth_is_unknown_it_is_that_of_the_values() -> None:
    assert rows(None, density={"block": 2, "values": [0.1, 0.2]})[0][3] == [0.1, 0.1, 0.2, 0.2]
    assert rows(None, density=0.3)[0][3] == [0.3]


def test_roles_have_rows_of_their_own() -> None:
    value = {"by": [{"filter": "attn", "value": 0.9}, {"filter": "embed", "value": 0.1},
                    {"value": {"gradient": [0.0, 1.0]}}]}  # fmt: skip
    found = rows(2, scale=value)
    assert [row[1] for row in found] == ["attn", "mlp", "norm", "other"]
    assert found[0][2:] == (0.1, [0.9, 0.9], 1.0)
    assert found[1][2:] == (0.1, [0.0, 1.0], 1.0)


def test_what_depends_on_names_is_left_open() -> None:
    assert rows(2, weights=[{"tensors": {"a.b": 0.5}}, 1.0])[0][2:] == (None, [None, None], None)


def test_segments_come_as_they_are() -> None:
    parts = [{"until": 8, "weights": [1.0, 0.0]}, {"weights": [0.5, 0.5]}]
    (found,) = coefficients_of(recipe(segments=parts), 12)
    assert found["segments"] == {"all": parts}
    Coefficients.model_validate(found)
    (found,) = coefficients_of(recipe(segments={"attn": parts[1:], "rest": parts}), 12)
    assert list(found["segments"]) == ["attn", "rest"]


def test_segments_stand_over_the_layers() -> None:
    tensors = [
        TensorFacts("embed", (10,), "F32", None, "embed"),
        TensorFacts("layers.0.mlp", (4, 2), "F32", 0, "mlp"),
        TensorFacts("layers.0.q", (2, 2), "F32", 0, "attn"),
        TensorFacts("layers.1.q", (2, 2), "F32", 1, "attn"),
        TensorFacts("layers.1.mlp", (4, 2), "F32", 1, "mlp"),
        TensorFacts("head", (5,), "F32", None, "head", before=False),
    ]
    parts = [{"weights": [1.0, 0.0]}]
    (found,) = coefficients_of(recipe(segments=parts), 2, tensors)
    assert found["flat"] == {"all": {"size": 39, "layers": [10, 22], "end": 34}}
    (found,) = coefficients_of(recipe(segments={"attn": parts, "rest": parts}), 2, tensors)
    assert found["flat"] == {
        "attn": {"size": 8, "layers": [0, 4], "end": 8},
        "rest": {"size": 31, "layers": [10, 18], "end": 26},
    }
    Coefficients.model_validate(found)


@pytest.mark.parametrize(
    "plain", [recipe(mode="sum", nesterov=True, only=["a"]), {"evomerge_lineage": 1}, {}]
)
def test_what_has_no_numbers_gives_nothing(plain: dict[str, Any]) -> None:
    assert coefficients_of(plain, 2) == []
