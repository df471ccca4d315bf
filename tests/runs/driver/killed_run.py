"""Kills a run at seeded failpoints and resumes it; prints which points made a difference.

A program of its own, so that the processes it forks and kills hold nothing but a run.
Usage: python killed_run.py FOLDER N_POINTS SEED MODE SEARCHER [LEDGER]

Points are drawn from the whole run for ``random``. For searchers that learn they lie at asks, tells
and results from the third ask on, and at every other one their state is stored after each tell.
For ``talks`` they lie at the replies to a prompt that is answered behind the search.
"""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401  imported once here instead of in every forked process
import numpy as np
import prometheus_client  # noqa: F401  likewise

from evomerge.errors import LedgerError
from evomerge.runs.driver import snapshots
from evomerge.runs.events import Event
from evomerge.runs.failpoints import VARIABLE, passed
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.talks import KIND, body_of
from evomerge.search.cma_es import CmaEsSearcher
from evomerge.search.cma_me import CmaMeSearcher
from evomerge.search.grid_archive import Axis
from evomerge.search.m2n2 import M2N2Searcher
from evomerge.search.map_elites import MapElitesSearcher
from evomerge.search.nsga import Nsga2Searcher
from tests.runs.driver.asked import BASE, SETTINGS, read_recipe, reference
from tests.runs.fakes import BINARY, FakeRun, picture, segmented_space
from tests.runs.stopping import in_child

KINDS = {n: {"from": n, "low": 0.0, "high": 1.0, "bins": 6} for n in BINARY}
AXES = [Axis(n, 0.0, 1.0, 6) for n in BINARY]
TWO = {n: {"from": [n], "aggregate": "mean", "direction": "maximize"} for n in BINARY}
LEARNING: dict[str, dict[str, Any]] = {
    "cma_me": {
        "make_searcher": partial(CmaMeSearcher, seed=5, measures=AXES, emitters=1, population=4),
        "measures": KINDS,
    },
    "map_elites": {
        "make_searcher": partial(MapElitesSearcher, seed=5, measures=AXES, population=4),
        "measures": KINDS,
    },
    "cma_es": {"make_searcher": partial(CmaEsSearcher, seed=5, population=4)},
    "m2n2": {
        "make_searcher": partial(M2N2Searcher, seed=5, archive=4, children=2),
        "make_space": segmented_space,
        "objectives": TWO,
    },
    "nsga2": {"make_searcher": partial(Nsga2Searcher, seed=5, population=4), "objectives": TWO},
}
"""What the runs of searchers that learn are made of."""
LEARNT = ("ask", "tell", "attempt")
TALKS = "talks"


class AskedRun(FakeRun):
    """A run whose base is asked something before it begins."""

    def drive(self) -> list[Event]:
        ledger = Ledger.open(self.url, create=True)
        records = RunRecords(ledger, self.run_id)
        try:
            records.run()
        except LedgerError:
            self.store().close()
        if not records.requests(KIND):
            RunWriter(ledger, self.run_id).add_request(KIND, body_of(SETTINGS, [BASE]))
        ledger.close()
        return super().drive()


def main(
    folder: Path, n_points: int, seed: int, mode: str, searcher: str, ledger: str = ""
) -> dict[str, object]:
    # What loads on first use is loaded once here, not in each of the processes.
    _fresh(folder / "warm", mode, searcher, "").drive()
    whole = _fresh(folder / "whole", mode, searcher, ledger)
    passed_names = folder / "points.json"
    os.environ[VARIABLE] = "count"

    def count() -> None:
        whole.drive()
        passed_names.write_text(json.dumps(passed()))

    assert in_child(count) == 0
    names = json.loads(passed_names.read_text())
    expected = _picture(whole)
    rng = np.random.default_rng(seed)
    points = sorted(place + 1 for place in _places(names, n_points, searcher, rng))
    different, survived, counted_twice = [], [], []
    for index, point in enumerate(points):
        if searcher in LEARNING:
            snapshots.EVERY_S, snapshots.SHARE = (0.0, 0) if index % 2 else (1e9, 20)
        run = _fresh(folder / f"point{point}", mode, searcher, ledger)
        os.environ[VARIABLE] = str(point)
        if in_child(lambda run=run: run.drive()) != -signal.SIGKILL:
            survived.append(int(point))
        os.environ.pop(VARIABLE)
        assert in_child(lambda run=run: run.drive()) == 0
        found = _picture(run)
        if found != expected:
            different.append((int(point), names[point - 1]))
        keys = [attempt[:2] for attempt in found["attempts"]]
        if len(keys) != len(set(keys)):
            counted_twice.append(int(point))
    kinds = sorted({names[point - 1] for point in points})
    return {
        "points": len(points),
        "of": len(names),
        "kinds": kinds,
        "different": different,
        "survived": survived,
        "counted_twice": counted_twice,
    }


def _picture(run: FakeRun) -> dict[str, Any]:
    """All that must not depend on kills, with what was said."""
    records = run.records()
    said = [(row.talk, row.model, row.state) for row in records.replies() if row.state != "begun"]
    return picture(records) | {"said": said}


def _places(names: list[str], n: int, searcher: str, rng: np.random.Generator) -> list[int]:
    """Return ``n`` indices of ``names``, for searchers that learn equally many of each step."""
    if searcher == TALKS:
        names_of_replies = [i for i, name in enumerate(names) if name.endswith(":reply")]
        return [int(place) for place in rng.choice(names_of_replies, size=n, replace=False)]
    if searcher not in LEARNING:
        return [int(place) for place in rng.choice(len(names), size=n, replace=False)]
    third = [place for place, name in enumerate(names) if name == "begin:ask"][2]
    found = [
        [place for place in range(third, len(names)) if names[place].endswith(f":{step}")]
        for step in LEARNT
    ]
    found = [places for places in found if places]  # async tells lie within attempts
    chosen = [rng.choice(places, size=n // len(found), replace=False) for places in found]
    return [int(place) for places in chosen for place in places]


def _fresh(folder: Path, mode: str, searcher: str, ledger: str) -> FakeRun:
    """Return a run that isn't stored yet, and takes no scores from others of its ledger."""
    folder.mkdir(parents=True)
    made = dict(LEARNING.get(searcher, {}))
    if made:
        make = made["make_searcher"]
        made["make_searcher"] = lambda space, k: make(space, n_objectives=k)
    kind = FakeRun
    settings: dict[str, Any] = {"mode": mode}
    if searcher == TALKS:
        kind = AskedRun
        settings |= {"read_recipe": read_recipe, "references": reference}
    return kind(
        folder,
        budget=13 if made else 8,
        finalists=2,
        evaluators=BINARY,
        settings=settings,
        run_id=folder.name,
        ledger=ledger,
        reuse=False,
        **made,
    )


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])))
