import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.runs.objectives import Objectives
from evomerge.runs.ranking import pareto_front
from evomerge.runs.reading.results import RunResults
from evomerge.runs.steering import steer
from evomerge.search.fronts import hypervolume, non_dominated
from evomerge.service.folders import Folders
from evomerge.service.reading.columns import Columns
from evomerge.service.reading.follow import FollowedRun
from evomerge.service.reading.fronts import FrontOf, front_picture, sampled, thinned
from evomerge.service.reading.workspace import Workspace
from tests.runs.fakes import EVALUATORS, TWO, facts_of
from tests.service.reading.conftest import RUN_ID, Place, make_place

OBJECTIVES = Objectives.from_plain(TWO, facts_of(EVALUATORS))


def arc(n: int, k: int = 2) -> np.ndarray:
    """Points of a round front."""
    points = np.abs(np.random.default_rng(0).normal(size=(n, k)))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def filled(values: np.ndarray, violations: np.ndarray | None = None) -> Columns:
    """Columns of scored candidates with the given raw values."""
    columns = Columns(OBJECTIVES)
    grow(columns, values, violations)
    return columns


def grow(columns: Columns, values: np.ndarray, violations: np.ndarray | None = None) -> None:
    start = columns.n
    columns.add(
        [
            {
                "candidate_id": f"0-{start + i}", "ask": 0, "place": start + i, "kind": "search",
                "origin": "random", "parents": [], "recipe_hash": "",
            }
            for i in range(len(values))
        ]
    )  # fmt: skip
    rows = list(range(start, columns.n))
    search = columns.splits["search"]
    search.value[rows] = values
    search.violation[rows] = 0.0 if violations is None else violations
    search.succeed(rows, [float(row) for row in rows])


def test_the_front_is_the_one_of_the_command_line(finished: Place, followed: FollowedRun) -> None:
    results = RunResults(finished.folder)
    for split in ("search", "validation"):
        scored = results.state.scored(split)
        values = {name: results.objectives.utilities(scored[name]) for name in scored}
        rows = FrontOf(followed.columns, split, (0, 1)).members()
        names = [followed.columns.names[row] for row in rows]
        assert sorted(names) == sorted(pareto_front(values))
        best = [followed.columns.splits[split].value[row, 0] for row in rows]
        assert best == sorted(best, reverse=True)
    results.close()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.25, 0.5, 1.0, np.nan, np.inf]),
            st.sampled_from([0.0, 0.25, 0.5, 1.0, -np.inf]),
            st.sampled_from([0.0, 0.0, 1.0, 2.0]),
        ),
        max_size=24,
    ),
    st.integers(1, 7),
)
def test_a_front_kept_up_is_the_front_of_all(
    rows: list[tuple[float, float, float]], step: int
) -> None:
    columns = Columns(OBJECTIVES)
    front = FrontOf(columns, "search", (0, 1))
    table = np.array(rows, dtype=float).reshape(-1, 3)
    for start in range(0, len(table), step):
        part = table[start : start + step]
        grow(columns, part[:, :2], part[:, 2])
        front.members()
    kept = sorted(front.members().tolist())
    points = columns.utilities("search", np.arange(columns.n), (0, 1))
    whole = np.flatnonzero(non_dominated(points, columns.splits["search"].violation[: columns.n]))
    assert kept == whole.tolist()


@pytest.mark.parametrize(("k", "n", "most"), [(2, 2_000, 200), (3, 2_000, 200), (4, 400, 60)])
def test_thinning_keeps_the_ends_and_more_volume_than_chance(k: int, n: int, most: int) -> None:
    points = arc(n, k)
    kept = thinned(points, most)
    assert len(kept) == len(set(kept.tolist())) == most
    assert set(points.argmax(axis=0).tolist()) <= set(kept.tolist())
    drawn = [np.random.default_rng(seed).choice(n, most, replace=False) for seed in range(5)]
    by_chance = max(hypervolume(points[rows], np.zeros(k)).value for rows in drawn)
    assert hypervolume(points[kept], np.zeros(k)).value > by_chance


def test_thinning_leaves_no_hole_where_points_are_dense() -> None:
    # All but one in a hundred lie in one corner of the front.
    angle = np.sort(np.concatenate([np.linspace(0, 0.05, 990), np.linspace(0.05, np.pi / 2, 10)]))
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    kept = angle[thinned(points, 32)]
    assert set(np.linspace(0.05, np.pi / 2, 10)[1:]) <= set(kept.tolist())
    assert (kept < 0.05).sum() >= 10


def test_thinning_takes_infinite_and_equal_values() -> None:
    points = np.array([[np.inf, -np.inf], *[[float(i), 50.0 - i] for i in range(50)]])
    assert len(thinned(points, 10)) == 10
    assert thinned(np.ones((50, 2)), 10).tolist() == [0]
    assert thinned(arc(5), 10).tolist() == [0, 1, 2, 3, 4]


def test_the_sample_stays_while_the_run_grows() -> None:
    before = set(sampled(np.arange(10_000), 500).tolist())
    after = set(sampled(np.arange(11_000), 500).tolist())
    assert len(before) == 500
    assert len(before & after) > 400
    assert before == set(sampled(np.arange(10_000)[::-1], 500).tolist())
    # Spread over the whole run.
    assert 0.4 < np.mean(np.array(sorted(before)) < 5_000) < 0.6


def test_the_picture_counts_what_it_leaves_out() -> None:
    good = arc(300)
    good[:, 1] *= -1  # the second objective is minimised
    values = np.concatenate([good, good * [[0.5, 2.0]], [[np.nan, 0.0], [np.inf, 9.0]]])
    columns = filled(values)
    front = FrontOf(columns, "search", (0, 1))
    picture = front_picture(columns, front, "search", (0, 1), points=50, others=40)
    counts = picture["counts"]
    assert counts["done"] == 602
    assert counts["front"] == len(front.members())
    assert 50 <= counts["front_shown"] == len(picture["front"]["candidates"]) <= 53
    assert counts["others"] + counts["front"] == 601  # NaN can't be drawn
    assert counts["others_shown"] == len(picture["others"]["candidates"]) == 40
    assert set(picture["marks"]) <= set(picture["front"]["candidates"])


def test_the_picture_says_what_else_could_be_chosen() -> None:
    columns = filled(arc(3))
    columns.ask[:] = [0, 1, 1]
    picture = front_picture(
        columns, FrontOf(columns, "search", (1,)), "search", (1,), points=50, others=40
    )
    axes = [{"name": item.name, "direction": item.direction} for item in OBJECTIVES.all]
    assert picture["known"] == axes
    assert picture["objectives"] == axes[1:]
    assert picture["splits"] == ["search"]
    asks = {part: dict(zip(found["candidates"], found["asks"], strict=True))
            for part, found in picture.items() if part in ("front", "others")}  # fmt: skip
    assert asks["front"] | asks["others"] == {"0-0": 0, "0-1": 1, "0-2": 1}


def test_what_is_banned_is_on_no_front_until_that_is_taken_back(tmp_path: Path) -> None:
    place = make_place(tmp_path, budget=24)
    place.fake.drive()
    workspace = Workspace(Folders(place.runs), refresh_s=0.0)

    def fronts() -> dict[str, list[str]]:
        run = workspace.run(RUN_ID)
        return {
            split: sorted(
                run.columns.names[row] for row in workspace.front(run, split, (0, 1)).members()
            )
            for split in ("search", "validation")
        }

    before = fronts()
    name = before["validation"][0]
    assert name in before["search"]
    steer(place.folder.path, "ban", name, on=True)
    with contextlib.closing(RunResults(place.folder)) as results:
        for split, found in fronts().items():
            scored = results.state.scored(split)
            values = {n: results.objectives.utilities(scored[n]) for n in scored}
            assert found == sorted(pareto_front(values))
            assert name not in found
        assert sorted(e.candidate for e in results.front().entries) == fronts()["validation"]
    run = workspace.run(RUN_ID)
    front = workspace.front(run, "search", (0, 1))
    picture = front_picture(run.columns, front, "search", (0, 1), points=50, others=50)
    assert name not in picture["others"]["candidates"]
    assert picture["counts"]["banned"] == 1
    steer(place.folder.path, "ban", name, on=False)
    assert fronts() == before
    workspace.close()


def test_a_single_objective_has_its_best_as_front(followed: FollowedRun) -> None:
    rows = FrontOf(followed.columns, "search", (1,)).members()
    values = followed.columns.splits["search"].value[: followed.columns.n, 1]
    assert values[rows].tolist() == [np.nanmin(values)] * len(rows)
