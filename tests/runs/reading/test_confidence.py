"""Fronts that know the noise: pairing, ties, planted differences."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evomerge.evaluation.intervals import Estimate
from evomerge.runs.objectives import Objectives
from evomerge.runs.reading.confidence import neighbours, resampled
from tests.runs.fakes import EVALUATORS, TWO, facts_of

OBJECTIVES = Objectives.from_plain(TWO, facts_of(EVALUATORS))
HARD = np.random.default_rng(0).random(200)


def scores(near: np.ndarray, far: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    return {
        ("near", "hit"): near.astype(float)[:, None],
        ("far", "distance"): np.stack([far, np.zeros(len(far))], axis=1),
    }


def test_equal_models_stay_on_the_front_for_sure() -> None:
    one = scores(HARD < 0.6, HARD)
    found = resampled(OBJECTIVES, EVALUATORS, {"a": one, "b": one}, {}, samples=100).on_front()
    assert found == {"a": 1.0, "b": 1.0}


def test_a_small_lead_on_the_same_examples_is_sure() -> None:
    better = scores(HARD < 0.65, HARD - 0.01)
    worse = scores(HARD < 0.6, HARD)
    found = resampled(OBJECTIVES, EVALUATORS, {"a": better, "b": worse}, {}).on_front()
    assert found == {"a": 1.0}


def test_a_lead_by_chance_beats_nobody() -> None:
    rng = np.random.default_rng(3)
    left = 0
    for trial in range(20):
        models = {name: scores(rng.random(100) < 0.6, rng.random(100)) for name in ("a", "b", "c")}
        found = resampled(OBJECTIVES, EVALUATORS, models, {}, seed=trial, samples=200).on_front()
        left += len(found)
        assert all(0 <= share <= 1 for share in found.values())
    assert left >= 57  # of 60; each is beaten by chance in at most 5 % of the trials


def test_draws_are_those_of_the_paired_difference() -> None:
    """The share of draws in which one is ahead is what resampling by hand gives."""
    only = Objectives.from_plain({"near": TWO["near"]}, facts_of(EVALUATORS))
    rng = np.random.default_rng(5)
    one, other = rng.random(50) < 0.7, rng.random(50) < 0.6
    models = {"a": scores(one, HARD[:50]), "b": scores(other, HARD[:50])}
    found = resampled(only, EVALUATORS, models, {}, samples=4000)
    ahead = found.dominated().mean(axis=0)
    difference = one.astype(float) - other
    draws = np.random.default_rng(9).integers(0, 50, (4000, 50))
    assert ahead[0, 1] == pytest.approx((difference[draws].sum(axis=1) > 0).mean(), abs=0.03)
    assert ahead[1, 0] == pytest.approx((difference[draws].sum(axis=1) < 0).mean(), abs=0.03)


def test_the_knee_has_the_share_of_draws_that_agree() -> None:
    bend = scores(HARD < 0.9, HARD + 1.0)
    ends = {"a": scores(HARD < 1.0, HARD + 9.0), "c": scores(HARD < 0.1, HARD)}
    sure = resampled(OBJECTIVES, EVALUATORS, {**ends, "b": bend}, {}, samples=200).knees()
    assert sure == {"a": 0.0, "b": 1.0, "c": 0.0}
    rng = np.random.default_rng(2)
    twins = {name: scores(rng.random(200) < 0.9, HARD + 1.0) for name in ("b", "d")}
    split = resampled(OBJECTIVES, EVALUATORS, ends | twins, {}, samples=200).knees()
    assert sum(split.values()) == pytest.approx(1)
    assert 0 < split["b"] < 1
    assert 0 < split["d"] < 1


def test_numbers_of_the_recipe_have_no_noise() -> None:
    plain = {"near": TWO["near"], "steps": {**TWO["far"], "from": ["steps"]}}
    objectives = Objectives.from_plain(plain, facts_of(EVALUATORS))
    one = scores(HARD < 0.6, HARD)
    fixed = {
        name: {("(recipe)", "steps"): Estimate(steps, steps, steps, 1)}
        for name, steps in (("a", 3.0), ("b", 4.0))
    }
    found = resampled(objectives, EVALUATORS, {"a": one, "b": one}, fixed, samples=50)
    assert found.utilities[:, :, 1].tolist() == [[-3.0, -4.0]] * 50
    assert found.on_front() == {"a": 1.0}


def test_examples_without_a_score_are_left_out() -> None:
    near = (HARD < 0.6).astype(float)
    near[:50] = np.nan
    models = {"a": scores(near, HARD), "b": scores(HARD < 0.6, HARD)}
    found = resampled(OBJECTIVES, EVALUATORS, models, {}, samples=60)
    assert len(found.utilities) == 60


def test_only_what_may_belong_to_the_front_is_compared() -> None:
    def estimates(near: float, far: float) -> dict[tuple[str, str], Estimate]:
        return {
            ("near", "hit"): Estimate(near, near - 0.1, near + 0.1, 20),
            ("far", "distance"): Estimate(far, far - 0.5, far + 0.5, 20),
        }

    scored = {
        "far off": estimates(0.2, 9.0),
        "front": estimates(0.8, 2.0),
        "close": estimates(0.75, 2.3),
        "other end": estimates(0.5, 1.0),
        "one is better": estimates(0.3, 1.2),
    }
    found = neighbours(OBJECTIVES, scored, ["front", "other end"])
    assert found == ["front", "other end", "close", "one is better"]
    assert neighbours(OBJECTIVES, {}, []) == []


def test_it_needs_no_torch(tmp_path: Path) -> None:
    """It would take longer to load than all else that 'front --confidence' does."""
    data = tmp_path / "qa.jsonl"
    lines = [json.dumps({"prompt": f"{n}+{n}=", "answer": str(2 * n)}) for n in range(40)]
    data.write_text("\n".join(lines))
    code = f"""
import sys
import evomerge.runs.reading.confidence
from evomerge.evaluation.spec import EvaluatorSpec
EvaluatorSpec("task", "generation", 0, {{"data": {str(data)!r}}}).build()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
