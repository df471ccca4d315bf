"""The pilot: three real candidates, and what they foretell."""

from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import RunFailedError
from evomerge.runs.setup.pilot import Trial, choose_recipes, foretell, run_pilot
from evomerge.runs.setup.prepare import Prepared, prepare


def prepared(raw: dict[str, Any]) -> Prepared:
    return prepare(parse_config(raw, where="tiny.yaml"), where="tiny.yaml")


def trial(label: str, busy_s: float, score_s: float, failure: str | None = None) -> Trial:
    return Trial(label, busy_s - score_s, score_s, 0.0, busy_s, 2.0, failure)


def test_hours_and_cost_are_those_worked_by_hand() -> None:
    trials = [trial("base", 20, 18), trial("uniform", 30, 24), trial("random", 50, 36)]
    found = foretell(trials, budget=360, workers=4, once_s=72, finalists=6, share=2.0, price=3.0)
    # 360 candidates on 4 workers: 90 after one another, of 20 s, (30 + 50) / 2 s and 50 s.
    assert found.search_h == pytest.approx((0.5, 1.0, 1.25))
    # Two rounds of finalists; merges stay, scoring takes twice as long.
    assert found.rescoring_h[1] == pytest.approx(2 * (40 - 30 + 2 * 30) / 3600)
    assert found.total_h[1] == pytest.approx(1.0 + found.rescoring_h[1] + 0.02)
    assert found.device_hours[1] == pytest.approx(found.total_h[1] * 4 * 2)
    assert found.cost is not None
    assert found.cost[2] == pytest.approx(3 * found.device_hours[2])


def test_failed_candidates_foretell_nothing_and_few_workers_are_needed_for_few() -> None:
    trials = [trial("base", 10, 5), trial("random", 1000, 5, "no luck")]
    found = foretell(trials, budget=2, workers=8, once_s=0, finalists=2, share=1, price=None)
    assert found.search_h == pytest.approx((10 / 3600,) * 3)
    assert found.cost is None


def test_three_candidates_are_tried_and_nothing_is_stored(
    workspace: Path, raw_config: dict[str, Any]
) -> None:
    raw_config["execution"] = {"cost_per_device_hour": 2.0}
    before = sorted(workspace.iterdir())
    given = prepared(raw_config)
    recipes = choose_recipes(given)
    assert list(recipes) == ["base", "uniform", "random"]
    assert len({recipe.hash() for recipe in recipes.values()}) == 3
    pilot = run_pilot(given)
    assert [t.label for t in pilot.trials] == list(recipes)
    assert all(t.failure is None and t.busy_s >= t.merge_s + t.score_s > 0 for t in pilot.trials)
    assert pilot.tokenise_s > 0
    assert pilot.startup_s > 0
    assert pilot.forecast.total_h[0] * 3600 > pilot.startup_s
    assert pilot.forecast.cost is not None
    assert sorted(workspace.iterdir()) == before


def test_a_pilot_whose_candidates_all_fail_says_why(
    workspace: Path, raw_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = prepared(raw_config)
    monkeypatch.setattr(
        "evomerge.merging.engine.Merger.merge_into", lambda self, recipe, targets: 1 / 0
    )
    with pytest.raises(RunFailedError, match="all 3 candidates of the pilot failed; the last one"):
        run_pilot(given)
