import contextlib
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from evomerge.runs.ledger import tables
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.reading.results import RunResults
from evomerge.runs.steering import steer
from evomerge.service.folders import Folders
from evomerge.service.reading.follow import Covered, FollowedRun
from evomerge.service.reading.series import series_of
from evomerge.service.reading.workspace import Workspace
from tests.service.reading.conftest import RUN_ID, Place, make_place


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


def test_the_hypervolume_over_time_is_that_of_the_search_split(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    told = [("generation_done", 0.4), ("advanced", 0.5), ("finished", 0.3)]
    with contextlib.closing(Ledger.open(place.fake.url)) as ledger:
        with ledger.write("test") as connection:
            for number, (kind, value) in enumerate(told, 1):
                progress = {"evaluated": 4 * number, "failed": 0, "budget": 12}
                body = {"hypervolume": value, "progress": progress}
                row = {"run_id": RUN_ID, "sequence": number, "kind": kind, "at_s": float(number)}
                connection.execute(insert(tables.event).values(**row, body=body))
        followed = FollowedRun(RunRecords(ledger, RUN_ID))
        followed.refresh()
    found = series_of(followed, points=10)["hypervolume"]
    # The finalists' is another number: of the validation split.
    assert found == {"evaluated": [4, 8], "at_s": [1.0, 2.0], "value": [0.4, 0.5]}


def test_what_is_banned_was_never_the_best(tmp_path: Path) -> None:
    place = make_place(tmp_path, budget=24)
    place.fake.drive()
    workspace = Workspace(Folders(place.runs), refresh_s=0.0)
    best = series_of(workspace.run(RUN_ID), points=1000)["best"]["near"]["candidates"][-1]
    steer(place.folder.path, "ban", best, on=True)
    found = series_of(workspace.run(RUN_ID), points=1000)["best"]["near"]["candidates"]
    assert found
    assert best not in found
    workspace.close()
