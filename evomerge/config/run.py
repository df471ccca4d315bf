"""The run file as typed models: shape only; names are checked in ``runs``."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evomerge.config.block import Block
from evomerge.config.search import SearchConfig

SCHEMA_VERSION = 1


class SourceConfig(Block):
    """One source model."""

    path: str = Field(
        min_length=1, description="Local folder (relative to the working folder) or hub id."
    )
    revision: str | None = Field(default=None, description="Branch, tag or commit of a hub id.")
    trust_remote_code: bool = Field(default=False, description="Run code that the source brings.")


class StageConfig(BaseModel):
    """One step of the merge; every other key is a parameter of its method."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    method: str = Field(description="Registered merge method.")
    inputs: list[str] = Field(min_length=1, description="Sources or earlier stages, in order.")
    name: str | None = Field(
        default=None, description="Name for later stages; stage1, stage2 … if absent."
    )
    base: str | None = Field(
        default=None, description="Base of this stage; the run's base if absent."
    )


class RecipeConfig(Block):
    """What is merged and which coefficients are searched."""

    parameters: list[StageConfig] = Field(
        default_factory=list,
        description="Stages, in order; may be absent where there is a dataflow.",
    )
    dtype: Literal["float32", "bfloat16", "float16", "float64"] | None = Field(
        default=None, description="Element type of the merged model; the base's if absent."
    )
    tokenizer: str | None = Field(
        default=None, description="Source of the tokenizer; the base if absent."
    )
    seed: int = Field(default=0, ge=0, description="Seed of stochastic methods (DARE).")


ROUTE_SEARCHERS = {"path": "path_evolution", "sakana": "cma_es", "blocks": "cma_es"}
"""Route space → searcher where none is named, as benchmarks/route_search.py compares them."""


class DataflowConfig(Block):
    """The route through layers of sources and stages: one that is searched, or fixed steps."""

    space: Literal["sakana", "path", "blocks"] | None = Field(
        default=None,
        description="Which routes are searched. sakana: all layers in order, repeated, each taken "
        "or not; path: any sequence of layers; blocks: a few runs of contiguous layers.",
    )
    steps: list[dict[str, Any]] | None = Field(
        default=None,
        description="A fixed route instead of a space: {source, layer, scale, qk, write} a step, "
        "or {source, layers: [first, after the last]}.",
    )
    model: str | None = Field(
        default=None,
        description="Source or stage whose layers come first, and where a search starts; the last "
        "stage, or the base, if absent.",
    )
    sources: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Sources and stages to route through beside the model, in order; all sources "
        "if absent.",
    )
    repeats: int = Field(
        default=3, ge=1, le=100, description="(sakana) How often all layers are laid out."
    )
    blocks: int = Field(default=4, ge=1, le=100, description="(blocks) Most blocks of a route.")
    scales: Literal["none", "hop", "table", "network"] = Field(
        default="none",
        description="By what the hidden state is multiplied on its way to the next layer. hop: one "
        "scale a place of the route; table: one a pair of layers (sakana); network: a small "
        "network of both layers and the place.",
    )
    scale_range: list[float] = Field(
        default=[0.5, 2.0],
        min_length=2,
        max_length=2,
        description="Smallest and largest scale, searched by its logarithm; 1 lies between.",
    )
    max_steps: int | None = Field(
        default=None,
        ge=1,
        description="Most steps of a route; all slots (sakana), or twice the model's layers, if "
        "absent.",
    )
    embedding: str | None = Field(
        default=None, description="Source or stage of the embedding; the model if absent."
    )
    norm: str | None = Field(
        default=None, description="Source or stage of the final norm; the model if absent."
    )
    head: str | None = Field(
        default=None, description="Source or stage of the head; the model if absent."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> "DataflowConfig":
        if (self.space is None) == (self.steps is None):
            raise ValueError("expected one of space (routes are searched) and steps (a fixed one).")
        allowed = {"steps": {"steps", "model"}, "sakana": {"repeats"}, "blocks": {"blocks"}}
        ends = {"embedding", "norm", "head"}
        if self.space is not None:
            ends |= {"space", "model", "sources", "scales", "scale_range", "max_steps"}
        kind = self.space or "steps"
        if wrong := sorted(self.changed() - ends - allowed.get(kind, set())):
            raise ValueError(f"{wrong[0]} has no meaning beside {kind}. Remove it.")
        low, high = self.scale_range
        if not 0 < low <= 1 <= high < float("inf"):
            raise ValueError(
                f"got the scale_range {self.scale_range}, expected two numbers with 0 < low ≤ 1 ≤ "
                "high."
            )
        return self


class NetworkConfig(BaseModel):
    """A small network that is evolved from scratch; every other key is a setting of its type."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    type: str = Field(description="Registered network.")
    founders: int = Field(
        default=2, ge=2, description="Random networks that the search begins with."
    )
    founder_std: float = Field(
        default=0.01, gt=0, description="Standard deviation of their parameters."
    )
    mutation_std: float = Field(
        default=0.01, ge=0, description="That of the noise that each child gets; 0 for none."
    )


class EvaluatorConfig(BaseModel):
    """One task; every key but ``type`` is a setting of the evaluator."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    type: str = Field(description="Registered evaluator.")


class ObjectiveConfig(Block):
    """A named number to optimise."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    sources: list[str] = Field(
        alias="from",
        min_length=1,
        description="Evaluators, or EVALUATOR.METRIC, that it is made of.",
    )
    aggregate: Literal["mean", "min", "max", "soft_min", "soft_max", "stability"] = Field(
        default="mean",
        description="How they are combined. min is the weakest link; soft_min its smooth form, in "
        "which the others count a little; stability is 1 minus how unevenly a model stands among "
        "the sources.",
    )
    direction: Literal["maximize", "minimize"] = Field(description="Which way is better.")
    weights: list[float] | None = Field(
        default=None, description="(mean) weight of each, equal if absent."
    )
    temperature: float | None = Field(
        default=None,
        gt=0,
        description="(soft_min, soft_max) how much the others count, in the unit of the numbers; "
        "0.05 if absent.",
    )
    reference: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Value of a useless model, where the hypervolume of several objectives begins; "
        "from what is measured, if absent.",
    )
    ideal: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Best value that there can be, where the hypervolume ends; from what is "
        "measured, if absent.",
    )

    @model_validator(mode="after")
    def _weights_fit(self) -> "ObjectiveConfig":
        if self.temperature is not None and not self.aggregate.startswith("soft"):
            raise ValueError(
                f"got a temperature with aggregate {self.aggregate!r}; only soft_min and soft_max "
                "have one."
            )
        if self.aggregate == "stability" and len(self.sources) < 2:
            raise ValueError("stability compares parts with each other. Give 'from' two or more.")
        if self.aggregate == "stability" and self.direction != "maximize":
            raise ValueError("a stability is better when it is larger: direction: maximize.")
        if self.weights is None:
            return self
        if self.aggregate != "mean":
            raise ValueError(
                f"got weights with aggregate {self.aggregate!r}; only a mean has them."
            )
        if len(self.weights) != len(self.sources):
            raise ValueError(
                f"got {len(self.weights)} weights, but 'from' has length {len(self.sources)}. "
                "Give one weight an entry."
            )
        if min(self.weights) < 0 or sum(self.weights) == 0:
            raise ValueError(f"got weights {self.weights}, expected none below 0 and not all 0.")
        return self


class ExecutionConfig(Block):
    """Where candidates are evaluated."""

    executor: str = Field(default="inprocess", description="Registered executor.")
    workers: int = Field(
        default=1, ge=1, description="Number of workers; inprocess has one. Most a run may have."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Settings of the executor.")
    device: str = Field(
        default="auto", description="auto, cpu, cuda, cuda:1 … auto takes a GPU if there is one."
    )
    threads: int = Field(
        default=1, ge=1, description="Torch threads a worker; part of the numeric class."
    )
    prefix_cache_gb: float | None = Field(
        default=None,
        ge=0,
        description="Memory in which a worker keeps activations that routes share; 0 keeps none. "
        "If absent a quarter of what the memory plan leaves, in main memory at most 2.1.",
    )
    time_limit_s: float | None = Field(
        default=None, gt=0, description="Seconds after which a candidate is cut off and has failed."
    )
    attempts: int = Field(
        default=4, ge=1, description="Attempts at a candidate whose worker died under it."
    )
    grace_s: float = Field(
        default=60,
        ge=0,
        description="Seconds that running candidates get to finish after SIGTERM or SIGUSR1.",
    )
    away_s: float = Field(
        default=1800,
        ge=0,
        description="Seconds that a run waits for a database that is away, before it stops.",
    )
    disk_reserve_gb: float = Field(
        default=0.5, ge=0, description="Stop cleanly while so much disk is still free."
    )
    disk_budget_gb: float | None = Field(
        default=None, gt=0, description="Stop cleanly once the run's folder and ledger are larger."
    )
    cost_per_device_hour: float | None = Field(
        default=None, ge=0, description="Price of a device, for the cost of the run."
    )
    log: Literal["text", "json"] = Field(
        default="text", description="Form of the lines in the run's log.txt."
    )


class RunConfig(Block):
    """A run file."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the run and its folder."
    )
    base: str | None = Field(
        default=None, description="A name in sources: base model, config, tokenizer."
    )
    sources: dict[str, SourceConfig] = Field(
        default_factory=dict, description="Models that may contribute."
    )
    recipe: RecipeConfig = Field(
        default_factory=RecipeConfig,
        description="What is merged and which coefficients are searched.",
    )
    dataflow: DataflowConfig | None = Field(
        default=None, description="The route through layers of sources and stages."
    )
    network: NetworkConfig | None = Field(
        default=None,
        description="A small network to evolve from scratch, instead of sources and recipe.",
    )
    evaluators: dict[str, EvaluatorConfig] = Field(min_length=1, description="Tasks, by name.")
    objectives: dict[str, ObjectiveConfig] = Field(
        min_length=1, description="What is optimised, by name."
    )
    constraints: list[str] = Field(
        default_factory=list,
        description="Bounds that a candidate must keep to be chosen: NAME >= NUMBER or NAME <= "
        "NUMBER, for an objective, EVALUATOR, EVALUATOR.METRIC, steps or parameters.",
    )
    search: SearchConfig = Field(description="How candidates are proposed; it has the budget.")
    execution: ExecutionConfig = Field(
        default_factory=ExecutionConfig, description="Where candidates are evaluated."
    )
    ledger: str = Field(
        default="sqlite:///runs/ledger.db", description="SQLAlchemy URL of the ledger."
    )

    @model_validator(mode="before")
    @classmethod
    def _searcher_of_routes(cls, raw: Any) -> Any:
        """Give a search for routes that names no searcher the best for its space."""
        flow = raw.get("dataflow") if isinstance(raw, dict) else None
        search = raw.get("search") if isinstance(raw, dict) else None
        if not (isinstance(flow, dict) and isinstance(search, dict)):
            return raw  # what is wrong with it is told elsewhere
        best = ROUTE_SEARCHERS.get(str(flow.get("space")))
        if best is None or {"searcher", "phases"} & set(search):
            return raw
        return {**raw, "search": {**search, "searcher": best}}

    @model_validator(mode="after")
    def _sources_or_network(self) -> "RunConfig":
        if self.network is None:
            if not self.sources:
                raise ValueError("sources is missing or empty. Name the models to merge.")
            return self
        wrong = {"sources", "base", "recipe", "dataflow"} & self.changed()
        if wrong:
            raise ValueError(
                f"{min(wrong)} has no meaning beside network, which has no sources. Remove it."
            )
        if self.search.phases is not None:
            raise ValueError("search.phases has no meaning beside network. Remove it.")
        return self
