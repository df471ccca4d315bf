"""The bodies of answers on candidates."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from evomerge.service.reading.models import NUMBER, Number, Remark, Seconds, Split, State, example


class Failure(BaseModel):
    """Why a candidate gave no scores."""

    model_config = example(kind="memory", message="out of memory at batch size 1")

    kind: str
    message: str


_CANDIDATE: dict[str, Any] = {
    "candidate": "3-2",
    "kind": "search",
    "origin": "cma_es",
    "ask": 3,
    "parents": [],
    "recipe_hash": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    "status": "done",
    "objectives": {"math": NUMBER},
    "feasible": True,
    "failure": None,
    "finished_s": 1767225660.0,
    "attempts": 1,
    "device_s": 1.92,
}


class CandidateItem(BaseModel):
    """A candidate as a line of a list."""

    model_config = example(**_CANDIDATE, starred=False)

    candidate: str
    kind: Literal["search", "reference"]
    origin: str = Field(description="Searcher, warm:LABEL, or the reference's label.")
    ask: int = Field(description="Which ask it came from; −1 for a reference.")
    parents: list[str]
    recipe_hash: str
    status: State
    objectives: dict[str, Number] = Field(description="Empty where it isn't scored.")
    feasible: bool | None = Field(description="It keeps the constraints; null: not scored.")
    failure: Failure | None
    finished_s: Seconds
    attempts: int
    device_s: float
    starred: bool


class CandidatePage(BaseModel):
    """Candidates, a page of at most 200."""

    model_config = example(items=[_CANDIDATE | {"starred": False}], total=1, next=None)

    items: list[CandidateItem]
    total: int = Field(description="Candidates on all pages.")
    next: str | None = Field(description="Give it as 'cursor' for the next page; null: no more.")


class Segment(BaseModel):
    """A run of the flattened model with weights of its own."""

    model_config = example(until=1048576, weights=[0.7, 0.3])

    until: int | None = Field(default=None, description="Where it ends; null: with the model.")
    weights: list[float]


class FlatGroup(BaseModel):
    """The flattened tensors that segments divide."""

    model_config = example(size=2097152, layers=[65536, 1048576], end=2031616)

    size: int = Field(description="Elements.")
    layers: list[int] = Field(description="Where each layer begins.")
    end: int = Field(description="Where the last layer ends.")


class CoefficientRow(BaseModel):
    """The numbers of one input, by layer."""

    model_config = example(input="math", role="all", before=0.5, layers=[0.5, 0.7], after=0.7)

    input: str | None = Field(description="Source or stage; null for a number of the stage.")
    role: str = Field(description="Which tensors of a layer; 'all' where they don't differ.")
    before: float | None = Field(description="Of the embedding.")
    layers: list[float | None] = Field(description="null: it depends on the tensor's name.")
    after: float | None = Field(description="Of the head.")


class Coefficients(BaseModel):
    """One numeric option of a stage, by layer and input, or by segments."""

    model_config = example(
        stage="stage1", method="task_arithmetic", option="weights", inputs=["math"], segments=None,
        flat=None, layers=2,
        rows=[{"input": "math", "role": "all", "before": 0.5, "layers": [0.5, 0.7], "after": 0.7}],
    )  # fmt: skip

    stage: str
    method: str
    option: str
    inputs: list[str]
    segments: dict[str, list[Segment]] | None = Field(description="Group of tensors → segments.")
    flat: dict[str, FlatGroup] | None = Field(
        description="What the segments divide, by group; null where the base isn't here."
    )
    layers: int | None
    rows: list[CoefficientRow]


class Lane(BaseModel):
    """A source or stage of a route."""

    model_config = example(letter="A", name="math", note="", depth=12, counts=[1, 1, 0])

    letter: str
    name: str
    note: str
    depth: int | None
    counts: list[int] = Field(description="How often each of its layers is taken.")


class LayerRun(BaseModel):
    """Layers that follow one another."""

    model_config = example(lane="A", start=0, stop=4, scale=1.0, qk=1.0, write=1.0, times=1)

    lane: str
    start: int
    stop: int
    scale: float
    qk: float
    write: float
    times: int


class Route(BaseModel):
    """The layers that the data flows through."""

    model_config = example(
        title="Route: 4 steps through A", sentence="embedding A → A0–3 → norm, head A", lanes=[],
        runs=[], embedding="A", norm="A", head="A",
    )  # fmt: skip

    title: str
    sentence: str
    lanes: list[Lane]
    runs: list[LayerRun]
    embedding: str
    norm: str
    head: str


class Attempt(BaseModel):
    """One try at scoring a candidate."""

    model_config = example(
        split="search", number=1, status="done", failure_kind=None, failure_message=None,
        failure_detail=None, merge_s=0.1, score_s=1.7, tokenise_s=0.0, wait_s=0.0, busy_s=1.9,
        devices=1.0, worker="w0", numeric_class="cpu", finished_s=1767225660.0,
    )  # fmt: skip

    split: str
    number: int
    status: Literal["done", "failed", "lost"]
    failure_kind: str | None
    failure_message: str | None
    failure_detail: str | None
    merge_s: float
    score_s: float
    tokenise_s: float
    wait_s: float
    busy_s: float
    devices: float
    worker: str
    numeric_class: str
    finished_s: float


class CandidateDetail(BaseModel):
    """All that is known of a candidate."""

    model_config = example(
        **(_CANDIDATE | {"objectives": {"search": {"math": NUMBER}}}),
        tasks={"search": {"math": {"exact": NUMBER}}}, failures={}, children=["5-0"],
        n_children=1, genome={"merge.weights.math": 0.7}, recipe={"evomerge_recipe": 1},
        coefficients=[], route=None, tries=[], cost=None,
        remark={
            "candidate": "3-2",
            "starred": False,
            "notes": [],
            "banned": False,
            "pinned": False,
        },
    )  # fmt: skip

    candidate: str
    kind: Literal["search", "reference"]
    origin: str
    ask: int
    parents: list[str]
    children: list[str] = Field(description="Candidates made from it, the first 30.")
    n_children: int
    recipe_hash: str
    recipe: dict[str, Any] = Field(description="'evomerge merge' makes this model again.")
    genome: dict[str, Any] | None
    status: State = Field(description="On the search split.")
    feasible: bool | None
    failure: Failure | None
    finished_s: Seconds
    objectives: dict[Split, dict[str, Number]]
    tasks: dict[str, dict[str, dict[str, Number]]] = Field(description="Split → task → metric.")
    failures: dict[Split, Failure]
    attempts: int
    tries: list[Attempt]
    coefficients: list[Coefficients]
    route: Route | None
    device_s: float
    cost: float | None
    remark: Remark
