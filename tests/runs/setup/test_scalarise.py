"""``search.scalarise``: what is refused, and that weights and aspirations reach the searcher."""

from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError
from evomerge.runs.setup.prepare import prepare
from evomerge.runs.start import new_run
from evomerge.search.scalarise import ScalarisedSearcher

TWO = {
    "loss": {"from": ["copy"], "direction": "minimize"},
    "other": {"from": ["next"], "direction": "minimize"},
}


def two(raw: dict[str, Any], scalarise: Any) -> dict[str, Any]:
    search = {**raw["search"], "searcher": "cma_es", "scalarise": scalarise}
    return {**raw, "objectives": TWO, "search": search}


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("scalarise", "key", "message"),
    [
        ({"weights": {"los": 1}}, "search.scalarise.weights", "no objective is called 'los'; did"),
        (
            {"kind": "achievement", "aspiration": {"loss": 2}},
            "search.scalarise.aspiration",
            "other is missing",
        ),
        ({"kind": "achievement"}, "search.scalarise", "achievement needs an aspiration"),
        ({"aspiration": {"loss": 2}}, "search.scalarise", "achievement needs an aspiration"),
        ({"weights": {"loss": 0}}, "search.scalarise", "not all 0"),
        ({"kind": "sum"}, "search.scalarise.kind", "weighted"),
    ],
)
def test_what_names_no_objective_is_refused(
    raw_config: dict[str, Any], scalarise: Any, key: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(parse_config(two(raw_config, scalarise), where="run.yaml"))
    (problem,) = caught.value.problems
    assert problem.key == key
    assert message in problem.message


@pytest.mark.usefixtures("workspace")
def test_one_objective_needs_none(raw_config: dict[str, Any]) -> None:
    raw_config["search"]["scalarise"] = {"kind": "weighted"}
    with pytest.raises(ConfigError, match=r"search.scalarise: has no meaning with one objective"):
        prepare(parse_config(raw_config, where="run.yaml"))


@pytest.mark.usefixtures("workspace")
def test_a_searcher_of_one_objective_searches_two(raw_config: dict[str, Any]) -> None:
    wish = {"kind": "achievement", "weights": {"other": 1.0}, "aspiration": {"loss": 2, "other": 3}}
    config = parse_config(two(raw_config, wish), where="run.yaml")
    with new_run(config) as opened:
        searcher = opened.prepared.make_searcher()
        assert isinstance(searcher, ScalarisedSearcher)
        assert searcher._weights.tolist() == [0.0, 1.0]
        assert searcher._aspiration is not None
        assert searcher._aspiration.tolist() == [-2.0, -3.0]
        events = list(opened.run.drive())
    assert events[-1].kind == "finished"
    assert Path("runs/tiny").is_dir()
