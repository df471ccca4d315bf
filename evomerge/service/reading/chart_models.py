"""The bodies of what charts draw: fronts and curves."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from evomerge.service.reading.models import Split, example

Column = list[float | None]


class Axis(BaseModel):
    """An objective of a front."""

    model_config = example(name="math", direction="maximize")

    name: str
    direction: Literal["maximize", "minimize"]


class Points(BaseModel):
    """Points as columns of equal length, raw values in the declared directions."""

    model_config = example(
        candidates=["3-2"], origins=["cma_es"], asks=[3], feasible=[True], value={"math": [0.64]}
    )

    candidates: list[str]
    origins: list[str]
    asks: list[int] = Field(description="Which ask each came from; −1 for a reference.")
    feasible: list[bool]
    value: dict[str, Column]


class PointsWithIntervals(Points):
    """Points with their 95 % intervals."""

    model_config = example(
        candidates=["3-2"], origins=["cma_es"], asks=[3], feasible=[True], value={"math": [0.64]},
        low={"math": [0.61]}, high={"math": [0.67]},
    )  # fmt: skip

    low: dict[str, Column]
    high: dict[str, Column]


class FrontCounts(BaseModel):
    """How many candidates there are, and how many are shown."""

    model_config = example(
        pending=3, done=95, failed=2, front=4, front_shown=4, others=91, others_shown=91,
        banned=0,
    )  # fmt: skip

    pending: int
    done: int
    failed: int
    front: int
    front_shown: int
    others: int
    others_shown: int
    banned: int = Field(description="Scored and never chosen; neither on the front nor beside it.")


_POINTS: dict[str, Any] = {
    "candidates": ["3-2"], "origins": ["cma_es"], "asks": [3], "feasible": [True],
    "value": {"math": [0.64]},
}  # fmt: skip
_NONE: dict[str, Any] = {
    "candidates": [], "origins": [], "asks": [], "feasible": [], "value": {}, "low": {}, "high": {}
}  # fmt: skip


class FrontPicture(BaseModel):
    """The front of chosen objectives beside a sample of the other candidates."""

    model_config = example(
        split="search", final=False, best=None,
        objectives=[{"name": "math", "direction": "maximize"}],
        known=[{"name": "math", "direction": "maximize"}], splits=["search"],
        counts={"pending": 3, "done": 95, "failed": 2, "front": 1, "front_shown": 1, "others": 94,
                "others_shown": 1, "banned": 0},
        front=_POINTS | {"low": {"math": [0.61]}, "high": {"math": [0.67]}},
        others=_POINTS, landmarks=_NONE, marks={"3-2": ["best math"]},
    )  # fmt: skip

    split: Split
    final: bool = Field(description="The run has ended, and its finalists are re-scored.")
    best: str | None = Field(description="The candidate that the run named best, once final.")
    objectives: list[Axis]
    known: list[Axis] = Field(description="All objectives of the run.")
    splits: list[Split] = Field(description="Splits on which candidates are scored.")
    counts: FrontCounts
    front: PointsWithIntervals = Field(description="Best first by the first objective.")
    others: Points = Field(description="A sample that stays the same while the run grows.")
    landmarks: PointsWithIntervals = Field(description="Base, sources and first proposals.")
    marks: dict[str, list[str]] = Field(description="Candidate → why it stands out.")


class Curve(BaseModel):
    """Where an objective's best so far changed."""

    model_config = example(
        evaluated=[1, 7], at_s=[1767225600.0, 1767225612.0], value=[0.5, 0.64], low=[0.4, 0.6],
        high=[0.6, 0.7], candidates=["0-0", "0-6"],
    )  # fmt: skip

    evaluated: list[int]
    at_s: Column
    value: Column
    low: Column
    high: Column
    candidates: list[str]


class Settled(BaseModel):
    """Candidates evaluated, and failed ones among them, over time."""

    model_config = example(evaluated=[1, 2], at_s=[1767225600.0, 1767225602.0], failed=[0, 1])

    evaluated: list[int]
    at_s: Column
    failed: list[int]


class Covered(BaseModel):
    """The hypervolume over time."""

    model_config = example(evaluated=[16], at_s=[1767225632.0], value=[0.31])

    evaluated: list[int]
    at_s: Column
    value: Column


class Reason(BaseModel):
    """Why candidates failed, and how many."""

    model_config = example(kind="nan", message="the model gave NaN", candidates=2)

    kind: str
    message: str
    candidates: int


class Metrics(BaseModel):
    """How a run went on the search split."""

    model_config = example(
        settled={"evaluated": [1], "at_s": [1767225600.0], "failed": [0]}, best={},
        hypervolume=None, failures=[],
    )  # fmt: skip

    settled: Settled
    best: dict[str, Curve] = Field(description="Of candidates that keep the constraints.")
    hypervolume: Covered | None
    failures: list[Reason] = Field(description="The twenty most frequent, on the search split.")
