"""The bodies of answers on runs. Numbers that aren't finite are null everywhere."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Split = Literal["search", "validation", "test"]
State = Literal["pending", "done", "failed"]
Seconds = Annotated[float | None, Field(description="Seconds since 1970.")]


def example(**fields: Any) -> ConfigDict:
    """Return the settings of a body that is documented by an example."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [fields]})


NUMBER = {"value": 0.6413, "low": 0.6102, "high": 0.6711, "n": 256}
_PROGRESS = {"evaluated": 120, "failed": 2, "budget": 400}


class Number(BaseModel):
    """A number with its 95 % interval."""

    model_config = example(**NUMBER)

    value: float | None
    low: float | None
    high: float | None
    n: int = Field(description="Examples that it rests on.")


class Progress(BaseModel):
    """How far a run is."""

    model_config = example(**_PROGRESS)

    evaluated: int = Field(description="Candidates evaluated, failed ones among them.")
    failed: int
    budget: int


class Hypervolume(BaseModel):
    """How much of what could be reached the front covers."""

    model_config = example(value=0.41, exact=True, reference={"math": 0.0}, ideal={"math": 1.0})

    value: float | None
    exact: bool
    reference: dict[str, float | None]
    ideal: dict[str, float | None]


_COURSE = {"objective": "math", "evaluated": [16, 120], "value": [0.52, 0.6413]}


class Course(BaseModel):
    """The best so far of a run's first objective in a few points, as the generations told it."""

    model_config = example(**_COURSE)

    objective: str
    evaluated: list[int]
    value: list[float | None]


_SUMMARY: dict[str, Any] = {
    "run_id": "5f3c1a0e9b7d4c2f8a6e1d0c3b5a7f90",
    "name": "quickstart",
    "folder": "quickstart",
    "started_s": 1767225600.0,
    "state": "running",
    "reason": "",
    "message": "",
    "driver": "node1:4711",
    "mode": "generation",
    "progress": _PROGRESS,
    "generations": 7,
    "best": {"math": 0.6413},
    "best_candidate": None,
    "split": "search",
    "directions": {"math": "maximize"},
    "hypervolume": None,
    "candidates_per_s": 0.52,
    "eta_s": 538.5,
    "device_s": 230.8,
    "cost": None,
    "utilisation": 0.97,
    "workers": 1,
    "starred": ["3-2"],
    "course": _COURSE,
}


class RunSummary(BaseModel):
    """A run as a line of a list."""

    model_config = example(**_SUMMARY)

    run_id: str
    name: str
    folder: str = Field(description="Name of its folder among the runs.")
    started_s: Seconds
    state: Literal["running", "finished", "stopped", "failed", "interrupted", "unreadable"]
    reason: str = Field(description="Why it stopped or failed, in one word.")
    message: str = Field(description="The same in a sentence; why it is unreadable.")
    driver: str = Field(description="HOST:PID of its process, where one is at work.")
    mode: Literal["generation", "async"] | None
    progress: Progress | None
    generations: int | None
    best: dict[str, float | None] = Field(description="Best value so far of each objective.")
    best_candidate: str | None = Field(description="The candidate named best, once final.")
    split: Split | None = Field(description="Split that the best values are of.")
    directions: dict[str, Literal["maximize", "minimize"]]
    hypervolume: Hypervolume | None
    candidates_per_s: float | None
    eta_s: float | None = Field(description="Seconds to the end of the budget at this speed.")
    device_s: float | None = Field(description="Device-seconds of work.")
    cost: float | None
    utilisation: float | None
    workers: int = Field(description="Workers at work.")
    starred: list[str] = Field(description="Candidates with a star.")
    course: Course | None = Field(description="Null before the first generation has ended.")


class RunList(BaseModel):
    """Runs, the newest first."""

    model_config = example(items=[_SUMMARY], next=None)

    items: list[RunSummary]
    next: str | None = Field(description="Give it as 'cursor' for the next page; null: no more.")


class Note(BaseModel):
    """A note on a candidate."""

    model_config = example(text="try this one on the long prompts", made_s=1767225600.0)

    text: str
    made_s: float


class Remark(BaseModel):
    """What users have said of a candidate."""

    model_config = example(candidate="3-2", starred=True, notes=[], banned=False, pinned=False)

    candidate: str
    starred: bool
    banned: bool = Field(description="Its recipe is never chosen nor scored again.")
    pinned: bool = Field(description="It is always among the finalists.")
    notes: list[Note]


class Accounting(BaseModel):
    """What a run has taken so far."""

    model_config = example(
        attempts=122, lost=1, device_s=230.8, seconds={"merge": 14.2, "score": 201.9},
        utilisation=0.97, utilisation_now=0.98, cost=None,
    )  # fmt: skip

    attempts: int
    lost: int
    device_s: float
    seconds: dict[str, float] = Field(description="Part of the workers' time → seconds.")
    utilisation: float | None
    utilisation_now: float | None
    cost: float | None


class Plugin(BaseModel):
    """A plug-in file that a run was started with."""

    model_config = example(path="my_metric.py", sha256="9f86d081884c7d65…")

    path: str
    sha256: str


class RunDetail(RunSummary):
    """A run with everything but its candidates."""

    model_config = example(
        **_SUMMARY,
        accounting={
            "attempts": 122, "lost": 1, "device_s": 230.8, "seconds": {"score": 201.9},
            "utilisation": 0.97, "utilisation_now": 0.98, "cost": None,
        },
        config={"name": "quickstart", "search": {"searcher": "cma_es", "budget": 400}},
        sources={"base": {"path": "models/base", "sha256": "9f86d081884c7d65…"}},
        tasks={"math": {"primary": "exact"}},
        genes=[{"name": "merge.weights.math", "kind": "float", "low": 0.0, "high": 1.0}],
        versions={"evomerge": "0.5.0"},
        plugins=[],
        remarks=[],
    )  # fmt: skip

    accounting: Accounting
    config: dict[str, Any] = Field(description="The resolved run file.")
    sources: dict[str, dict[str, Any]]
    tasks: dict[str, dict[str, Any]] = Field(description="Facts of the evaluators.")
    genes: list[dict[str, Any]] = Field(description="Dimensions of the search space.")
    versions: dict[str, str]
    plugins: list[Plugin]
    remarks: list[Remark]


class Worker(BaseModel):
    """A worker of a run's driver."""

    model_config = example(
        worker="w0", node="node1", device="cuda:0", state="busy", candidate="3-2", attempt=1,
        since_s=1.2, jobs=41, busy_s=80.1, alive_s=82.0, utilisation=0.977,
        memory_bytes=1073741824, reason="",
    )  # fmt: skip

    worker: str
    node: str
    device: str
    state: Literal["waiting", "starting", "idle", "busy", "gone"]
    candidate: str | None
    attempt: int | None
    since_s: float = Field(description="Seconds that it has been in this state.")
    jobs: int
    busy_s: float
    alive_s: float
    utilisation: float | None
    memory_bytes: int
    reason: str = Field(description="Why it is gone.")


class WorkerTotal(BaseModel):
    """What a worker has done over the whole run."""

    model_config = example(
        worker="w0", attempts=41, failed=1, lost=0, failures={"nan": 1},
        seconds={"merge": 4.2, "score": 70.9, "wait": 1.9}, utilisation=0.977,
    )  # fmt: skip

    worker: str
    attempts: int
    failed: int
    lost: int = Field(description="Attempts that it ended under; they were made again.")
    failures: dict[str, int] = Field(description="Kind → attempts, lost ones among them.")
    seconds: dict[str, float] = Field(description="Part of its time → seconds.")
    utilisation: float | None


class Workers(BaseModel):
    """The workers of a run."""

    model_config = example(items=[], totals=[])

    items: list[Worker] = Field(description="Of the driver; none where nobody drives the run.")
    totals: list[WorkerTotal] = Field(description="All that ever worked, the busiest 500.")


class Log(BaseModel):
    """Lines of a run's log."""

    model_config = example(lines=["2026-01-01T00:00:00.000Z INFO started"], next=43, more=False)

    lines: list[str]
    next: int = Field(description="Give it as 'after' for what comes next.")
    more: bool = Field(description="More is there already.")
