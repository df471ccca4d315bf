import numpy as np

from evomerge.runs.reading.results import RunResults
from evomerge.service.reading.follow import Covered, FollowedRun
from evomerge.service.reading.series import series_of
from tests.service.reading.conftest import Place


def test_best_so_far_is_that_of_the_results_in_their_order(
    finished: Place, followed: FollowedRun
) -> None:
    results = RunResults(finished.folder)
    settled = [a for a in results.records.attempts() if a.split == "search"]
    best: dict[str, list[tuple[int, float, str]]] = {"near": [], "far": []}
    for count, attempt in enumerate(settled, 1):
        if attempt.failure is not None:
            continue
        values = results.objectives.values(results.state.estimates["search"][attempt.candidate_id])
        for item in results.objectives.all:
            steps = best[item.name]
            value = values[item.name]
            if not steps or item.utility(value) > item.utility(steps[-1][1]):
                steps.append((count, value, attempt.candidate_id))
    found = series_of(followed, points=1000)
    for name, steps in best.items():
        curve = found["best"][name]
        assert (
            list(zip(curve["evaluated"], curve["value"], curve["candidates"], strict=True)) == steps
        )
    assert found["settled"]["evaluated"][-1] == len(settled) == 40
    assert found["settled"]["failed"][-1] == 7
    assert found["failures"] == [
        {"kind": "exception", "message": "<b>broken</b> & bad", "candidates": 7}
    ]
    results.close()


def test_curves_are_thinned_but_keep_their_ends(followed: FollowedRun) -> None:
    whole, thin = series_of(followed, points=1000), series_of(followed, points=5)
    for curve, full in ((thin["settled"], whole["settled"]),):
        assert len(curve["evaluated"]) == 5
        assert (curve["evaluated"][0], curve["evaluated"][-1]) == (1, 40)
        assert curve["at_s"][-1] == full["at_s"][-1]
    assert whole["hypervolume"] is None


def test_the_hypervolume_over_time_is_thinned_too(followed: FollowedRun) -> None:
    before = followed.covered
    followed.covered = [Covered(i, float(i), i / 100) for i in range(100)]
    try:
        found = series_of(followed, points=10)["hypervolume"]
    finally:
        followed.covered = before
    assert len(found["value"]) == 10
    assert np.allclose(np.diff(found["value"]), 0.11)
