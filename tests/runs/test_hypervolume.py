"""The hypervolume of a run: its scale, its place in events and figures, the same after a resume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from evomerge.runs.events import Advanced, Finished, GenerationDone
from evomerge.runs.hypervolume import Cover, covered
from evomerge.runs.objectives import Objectives
from tests.runs.fakes import EVALUATORS, TWO, FakeRun, facts_of

BOUNDED: dict[str, Any] = {
    "near": {**TWO["near"], "reference": 0.0, "ideal": 1.0},
    "far": {**TWO["far"], "reference": 4.0, "ideal": 0.0},
}
OBJECTIVES = Objectives.from_plain(BOUNDED, facts_of(EVALUATORS))


def test_each_objective_counts_from_reference_to_ideal() -> None:
    # near 0.5 of 1 and far 1 of 4 (minimised): half of one side, three quarters of the other.
    assert Cover(OBJECTIVES, [(0.5, -1.0)]).volume.value == pytest.approx(0.5 * 0.75)
    # A second point adds the part that the first hasn't: 0.8 of near, a quarter of far.
    both = Cover(OBJECTIVES, [(0.5, -1.0), (0.8, -3.0)])
    assert both.volume.value == pytest.approx(0.375 + 0.3 * 0.25)
    assert both.volume.exact


def test_what_is_no_better_than_the_reference_covers_nothing_and_the_ideal_all() -> None:
    assert Cover(OBJECTIVES, [(0.0, -1.0), (0.9, -4.0)]).volume.value == 0.0
    assert Cover(OBJECTIVES, [(1.0, 0.0)]).volume.value == 1.0
    assert Cover(OBJECTIVES, [(7.0, 9.0)]).volume.value == 1.0, "nothing is better than ideal"
    assert Cover(OBJECTIVES).volume.value == 0.0


points = st.lists(st.tuples(st.floats(0, 1), st.floats(-5, 0)), min_size=1, max_size=12)


@given(points, st.randoms(use_true_random=False))
def test_the_order_of_results_changes_no_bit(found: list[tuple[float, float]], mix: Any) -> None:
    shuffled = list(found)
    mix.shuffle(shuffled)
    grown = Cover(OBJECTIVES)
    for point in shuffled:
        grown.add(point)
    assert grown.volume == Cover(OBJECTIVES, found).volume


def test_one_objective_or_an_unknown_end_gives_no_hypervolume() -> None:
    one = Objectives.from_plain({"near": BOUNDED["near"]}, facts_of(EVALUATORS))
    open_end = {**BOUNDED, "far": {**BOUNDED["far"], "ideal": None}}
    unknown = Objectives.from_plain(open_end, facts_of(EVALUATORS))
    for objectives in (one, unknown):
        assert Cover.where_known(objectives) is None
        assert covered(objectives, []) is None


@pytest.mark.parametrize("mode", ["generation", "async"])
def test_events_tell_what_all_results_so_far_cover(tmp_path: Path, mode: Any) -> None:
    fake = FakeRun(tmp_path, budget=36, objectives=BOUNDED, settings={"mode": mode})
    events = fake.drive()
    kind = GenerationDone if mode == "generation" else Advanced
    found = [event.hypervolume for event in events if isinstance(event, kind)]
    told = [value for value in found if value is not None]
    assert len(told) == len(found)
    assert len(told) > 1
    assert told == sorted(told), "no result makes it smaller"
    whole = covered(OBJECTIVES, list(fake.records().estimates("search").values()))
    (end,) = [event for event in events if isinstance(event, Finished)]
    validated = fake.records().estimates("validation")
    assert end.hypervolume == covered(OBJECTIVES, [validated[name] for name in end.front])
    if mode == "generation":
        assert told[-1] == whole


def test_a_stopped_run_goes_on_with_the_same_values(tmp_path: Path) -> None:
    def told(fake: FakeRun, *, stop: bool) -> list[float | None]:
        run = fake.start()
        events = []
        for event in run.drive():
            events.append(event)
            if stop and isinstance(event, GenerationDone) and event.ask == 1:
                run.request_stop()
        if stop:
            events += list(fake.resume().drive())
        return [e.hypervolume for e in events if isinstance(e, (GenerationDone, Finished))]

    folders = [tmp_path / name for name in ("whole", "stopped")]
    runs = []
    for folder in folders:
        folder.mkdir()
        runs.append(FakeRun(folder, budget=24, objectives=BOUNDED))
    whole, stopped = told(runs[0], stop=False), told(runs[1], stop=True)
    assert whole == stopped
    assert len(whole) == 5


def test_the_metrics_file_has_it(tmp_path: Path) -> None:
    FakeRun(
        tmp_path, budget=6, objectives=BOUNDED, clock=iter(np.arange(0, 1e6, 3.0)).__next__
    ).drive()
    families = text_string_to_metric_families((tmp_path / "metrics.prom").read_text())
    found = {family.name: family.samples[0].value for family in families}
    assert 0 < found["evomerge_hypervolume"] <= 1
