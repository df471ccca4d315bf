"""References and ideals of objectives: from metrics, sizes and the run file."""

import math
from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError
from evomerge.runs.setup.prepare import Prepared, prepare


def prepared(raw: dict[str, Any]) -> Prepared:
    return prepare(parse_config(raw, where="tiny.yaml"), where="tiny.yaml", plan=False)


def ends(found: Prepared) -> dict[str, tuple[float | None, float | None]]:
    return {item.name: (item.reference, item.ideal) for item in found.objectives.all}


def several(raw: dict[str, Any], **more: Any) -> dict[str, Any]:
    raw["evaluators"]["likely"] = {
        "type": "log_likelihood",
        "data": "copy.jsonl",
        "prompt_key": "text",
        "answer_key": "text",
        "splits": {"search": 8, "validation": 8, "test": 8},
    }
    raw["objectives"] = {
        "greedy": {"from": ["likely.greedy"], "direction": "maximize"},
        **more,
    }
    return raw


def test_shares_go_from_0_to_1_and_sizes_from_twice_the_largest_source(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    found = prepared(
        several(
            raw_config,
            wrong={"from": ["likely.greedy"], "direction": "minimize"},
            steps={"from": ["steps"], "direction": "minimize"},
            parameters={"from": ["parameters"], "direction": "minimize"},
        )
    )
    n = sum(math.prod(f.shape) for f in found.sources["base"].checkpoint.tensors.values())
    assert ends(found) == {
        "greedy": (0.0, 1.0),
        "wrong": (1.0, 0.0),
        "steps": (4.0, 2.0),
        "parameters": (2 * n, n),
    }
    written = found.config.objectives
    assert (written["steps"].reference, written["steps"].ideal) == (4.0, 2.0)


def test_parts_are_combined_as_their_objective_is(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    both = ["likely.greedy", "likely.probability"]
    found = prepared(
        several(raw_config, mean={"from": both, "direction": "maximize", "weights": [1.0, 3.0]})
    )
    assert ends(found)["mean"] == (0.0, 1.0)


def test_what_nobody_knows_is_a_warning_that_says_what_to_give(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    bits = {"from": ["copy.bits_per_byte"], "direction": "minimize"}
    found = prepared(several(raw_config, bits=bits))
    assert ends(found)["bits"] == (None, 0.0)
    (warning,) = [line for line in found.warnings if line.startswith("objectives.bits")]
    assert warning == (
        "objectives.bits.reference: isn't known, so this run has no hypervolume. Give the value of "
        "a useless model."
    )
    given = prepared(several(raw_config, bits={**bits, "reference": 8.0}))
    assert ends(given)["bits"] == (8.0, 0.0)
    assert not [line for line in given.warnings if line.startswith("objectives.bits")]


@pytest.mark.parametrize(
    "wrong", [{"reference": 0.0}, {"reference": 2.0, "ideal": 3.0}, {"reference": -1.0}]
)
def test_a_reference_that_is_no_worse_than_the_ideal_is_refused(
    workspace: Path, raw_config: dict[str, Any], wrong: dict[str, float]
) -> None:
    bits = {"from": ["copy.bits_per_byte"], "direction": "minimize", **wrong}
    with pytest.raises(ConfigError, match=r"objectives.bits.reference: is .* no worse than the"):
        prepared(several(raw_config, bits=bits))
