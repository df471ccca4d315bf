"""The bodies of answers on how candidates relate: family, examples, niches."""

from typing import Literal

from pydantic import BaseModel, Field

from evomerge.service.reading.models import Number, Split, State, example


class Node(BaseModel):
    """A relative of a candidate."""

    model_config = example(
        candidate="2-0", generation=-1, origin="m2n2", parents=["0-1", "1-0"], status="done",
        objectives={},
    )  # fmt: skip

    candidate: str
    generation: int = Field(description="Below 0 for ancestors, above for descendants.")
    origin: str
    parents: list[str]
    status: State
    objectives: dict[str, Number]


class Edge(BaseModel):
    """A parent and its child."""

    model_config = example(parent="2-0", child="3-2")

    parent: str
    child: str


class Lineage(BaseModel):
    """Who a candidate comes from, and what came of it."""

    model_config = example(candidate="3-2", nodes=[], edges=[], complete=True)

    candidate: str
    nodes: list[Node] = Field(description="At most 500, the nearest first.")
    edges: list[Edge]
    complete: bool = Field(description="No relative was left out.")


class ExampleTexts(BaseModel):
    """Whether prompts and expected answers are there."""

    model_config = example(state="ready", reason="")

    state: Literal["ready", "preparing", "unavailable"] = Field(
        description="preparing: they are being read; ask again in some seconds."
    )
    reason: str


class ExampleCounts(BaseModel):
    """Examples, and on how many the candidate is better or worse than the other one."""

    model_config = example(examples=256, won=31, lost=12)

    examples: int
    won: int | None
    lost: int | None


class ExampleItem(BaseModel):
    """One example; texts come as they are and may hold anything, markup too."""

    model_config = example(
        index=4, outcome="won", value=1.0, against_value=0.0, answer="12", against_answer="13",
        prompt="7 + 5 =", expected="12",
    )  # fmt: skip

    index: int = Field(description="Its number within the split.")
    outcome: Literal["won", "lost", "same"] | None
    value: float | None
    against_value: float | None
    answer: str | None
    against_answer: str | None
    prompt: str | None
    expected: str | None


class Examples(BaseModel):
    """Examples of one task, a page of at most 200."""

    model_config = example(
        candidate="3-2", against="2-0", task="math", metric="exact", direction="maximize",
        split="search", counts={"examples": 256, "won": 31, "lost": 12},
        difference={"value": 0.074, "low": 0.02, "high": 0.12, "n": 256},
        texts={"state": "ready", "reason": ""}, items=[], total=31, next=None,
    )  # fmt: skip

    candidate: str
    against: str | None
    task: str
    metric: str
    direction: Literal["maximize", "minimize"]
    split: Split
    counts: ExampleCounts
    difference: Number | None = Field(description="Mean over examples: candidate minus other.")
    texts: ExampleTexts
    items: list[ExampleItem]
    total: int = Field(description="Examples on all pages.")
    next: int | None = Field(description="Give it as 'after' for the next page; null: no more.")


class TaskDifference(BaseModel):
    """Two candidates on one task."""

    model_config = example(
        task="math", metric="exact", direction="maximize", examples=256, won=31, lost=12,
        difference={"value": 0.074, "low": 0.02, "high": 0.12, "n": 256},
    )  # fmt: skip

    task: str
    metric: str
    direction: Literal["maximize", "minimize"]
    examples: int
    won: int | None = Field(description="Examples on which the candidate is better.")
    lost: int | None
    difference: Number | None = Field(
        description="Mean over examples: candidate minus other; null: not scored on the same ones."
    )


class AgainstOne(BaseModel):
    """A candidate beside another one."""

    model_config = example(against="2-0", tasks=[])

    against: str
    tasks: list[TaskDifference]


class Differences(BaseModel):
    """How a candidate differs from others on the same examples."""

    model_config = example(candidate="3-2", split="search", items=[])

    candidate: str
    split: Split
    items: list[AgainstOne]


class NichePart(BaseModel):
    """Examples of one task, numbered on among all."""

    model_config = example(task="math", metric="exact", first=0, n=256)

    task: str
    metric: str
    first: int
    n: int


class Member(BaseModel):
    """A model of the archive."""

    model_config = example(
        candidate="3-2", parents=["2-0", "1-1"], joined=17, mean=0.61, fitness=11.2, wins=40,
        alone=[4, 7], gained=[4], lost=[], banned=False,
    )  # fmt: skip

    candidate: str
    parents: list[str]
    joined: int
    mean: float | None
    fitness: float | None
    wins: int
    alone: list[int] = Field(description="Examples on which it alone is best.")
    gained: list[int] = Field(description="Those on which it is better than each parent.")
    lost: list[int]
    banned: bool = Field(description="Users never want it chosen; the search breeds it on.")


class Departure(BaseModel):
    """A model that left the archive."""

    model_config = example(candidate="0-4", result=31, newcomer="4-0", niche=[12])

    candidate: str
    result: int
    newcomer: str
    niche: list[int]


class Moment(BaseModel):
    """An archive of niches after some result."""

    model_config = example(result=31, members=15, best=0.61, coverage=0.83)

    result: int
    members: int
    best: float | None = Field(description="Mean score of the best single member.")
    coverage: float | None


class Pair(BaseModel):
    """Two models that had children."""

    model_config = example(first="3-2", second="1-1", children=4, living=1)

    first: str = Field(description="Drawn for its fitness.")
    second: str = Field(description="Drawn for what it adds to the first, which it attracted.")
    children: int
    living: int = Field(description="Children that are in the archive.")


class MapPart(BaseModel):
    """Columns of one task."""

    model_config = example(task="math", metric="exact", first=0, n=200)

    task: str
    metric: str
    first: int
    n: int


class ExampleMap(BaseModel):
    """Who covers which examples. Those of a task stand in the order of who is best on them."""

    model_config = example(
        parts=[{"task": "math", "metric": "exact", "first": 0, "n": 2}], columns=[[7], [4]],
        scores=[[1.0, 0.0]], best=[1.0, 0.0],
    )  # fmt: skip

    parts: list[MapPart]
    columns: list[list[int]] = Field(description="Examples of each column, at most 600 columns.")
    scores: list[list[float]] = Field(description="Of each of the fittest 100 members, a row each.")
    best: list[float] = Field(description="Score of the best member, by column.")


class Attraction(BaseModel):
    """How much each of the fittest 40 members would add to each other one."""

    model_config = example(candidates=["3-2", "1-1"], value=[[0.0, 4.5], [2.0, 0.0]])

    candidates: list[str]
    value: list[list[float]] = Field(description="A row for each first parent.")


class ExampleNiches(BaseModel):
    """The archive of an m2n2 search: who lives on which examples."""

    model_config = example(
        parts=[], members=[], departures=[], n_departures=0, coverage=0.83, course=[], pairs=[],
        map={"parts": [], "columns": [], "scores": [], "best": []},
        attraction={"candidates": [], "value": []},
    )  # fmt: skip

    parts: list[NichePart]
    members: list[Member] = Field(description="The fittest first.")
    departures: list[Departure] = Field(description="Who left, in order; the last 1,000.")
    n_departures: int
    coverage: float | None = Field(description="Mean over examples of the best member's score.")
    course: list[Moment] = Field(description="At most 200 moments, the present last.")
    pairs: list[Pair] = Field(description="The 200 that had the most children, these first.")
    map: ExampleMap
    attraction: Attraction


class CellAxis(BaseModel):
    """A measure that cells are told apart by."""

    model_config = example(name="length", low=0.0, high=64.0, bins=8)

    name: str
    low: float
    high: float
    bins: int


class Occupant(BaseModel):
    """The best model of a cell."""

    model_config = example(cell=[3], candidate="3-2", quality=0.64, measures=[27.5], banned=False)

    cell: list[int] = Field(description="Number of its bin on each axis, from 0.")
    candidate: str
    quality: float | None
    measures: list[float | None]
    banned: bool = Field(description="Users never want it chosen; the search breeds it on.")


class Stage(BaseModel):
    """An archive of cells after some result."""

    model_config = example(result=31, occupied=6, best=0.61)

    result: int
    occupied: int
    best: float | None


class Cells(BaseModel):
    """An archive of the best model of each kind."""

    model_config = example(
        quality="math", axes=[], occupants=[], n_cells=8, coverage=0.5, qd_score=2.1, course=[]
    )

    quality: str
    axes: list[CellAxis]
    occupants: list[Occupant] = Field(description="The best first.")
    n_cells: int
    coverage: float
    qd_score: float | None
    course: list[Stage] = Field(description="At most 200 moments, the present last.")


class Niches(BaseModel):
    """What a search keeps by niches: examples, cells, or nothing of the kind."""

    model_config = example(kind="cells", reason="", examples=None, cells=[])

    kind: Literal["examples", "cells", "none"]
    reason: str = Field(description="Why there is none.")
    examples: ExampleNiches | None
    cells: list[Cells] | None
