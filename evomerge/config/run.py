"""The run file as typed models: shape only; names are checked in ``runs``."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION = 1


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def _changed(self) -> set[str]:
        """Names of the fields that aren't at their default; a stored run file names them all."""
        fields = type(self).model_fields
        return {
            name
            for name in self.model_fields_set
            if getattr(self, name) != fields[name].get_default(call_default_factory=True)
        }


class SourceConfig(_Block):
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


class RecipeConfig(_Block):
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


class DataflowConfig(_Block):
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
        if wrong := sorted(self._changed() - ends - allowed.get(kind, set())):
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


class ObjectiveConfig(_Block):
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


class MeasureConfig(_Block):
    """What a model is like: an axis of an archive of the best of each kind."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    source: str = Field(
        alias="from", description="EVALUATOR, EVALUATOR.METRIC, steps or parameters."
    )
    low: float = Field(
        allow_inf_nan=False,
        description="Where its first bin begins; models below count as in that bin.",
    )
    high: float = Field(
        allow_inf_nan=False,
        description="Where its last bin ends; models above count as in that bin.",
    )
    bins: int = Field(default=10, ge=1, le=1000, description="Bins of equal width.")

    @model_validator(mode="after")
    def _is_a_range(self) -> "MeasureConfig":
        if self.low >= self.high:
            raise ValueError(f"got low {self.low:g} and high {self.high:g}, expected low < high.")
        return self


class ScalariseConfig(_Block):
    """How several objectives become the one number that the searcher is told."""

    kind: Literal["weighted", "chebyshev", "achievement"] = Field(
        default="chebyshev",
        description="weighted adds them; chebyshev takes the one furthest behind the best known; "
        "achievement the one furthest behind (or least ahead of) the aspiration.",
    )
    weights: dict[str, float] | None = Field(
        default=None, description="Objective → its importance; equal if absent, 0 if left out."
    )
    aspiration: dict[str, float] | None = Field(
        default=None, description="(achievement) objective → the raw value that is aspired to."
    )

    @model_validator(mode="after")
    def _is_complete(self) -> "ScalariseConfig":
        if (self.kind == "achievement") != (self.aspiration is not None):
            raise ValueError(
                "achievement needs an aspiration, and only it: give aspiration: {OBJECTIVE: VALUE, "
                "…} with kind: achievement."
            )
        weights = (self.weights or {"": 1.0}).values()
        if min(weights) < 0 or sum(weights) == 0:
            raise ValueError(f"got weights {self.weights}, expected none below 0 and not all 0.")
        return self


class PhaseConfig(_Block):
    """One part of a search; what it leaves alone is as the winner before it has it."""

    search: Literal["parameters", "dataflow", "both"] = Field(
        description="What this phase searches: coefficients of recipe.parameters, the route of "
        "dataflow, or both."
    )
    share: float = Field(
        gt=0, description="Its part of search.budget, in proportion to the other phases' shares."
    )
    searcher: str | None = Field(
        default=None, description="Registered searcher; the best for what is searched if absent."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Settings of the searcher.")


class StopConfig(_Block):
    """When a search ends before its budget is spent; what runs is finished."""

    target: dict[str, float] | None = Field(
        default=None,
        min_length=1,
        description="Objective → value; a candidate that reaches all of them, and keeps the "
        "constraints, is enough.",
    )
    stagnation: int | None = Field(
        default=None, ge=1, description="Results in a row that better nothing of the front."
    )
    device_hours: float | None = Field(
        default=None, gt=0, description="Hours that devices were held, working or waiting."
    )


class SearchConfig(_Block):
    """How candidates are proposed."""

    searcher: str = Field(
        default="cma_es",
        description="Registered searcher; path_evolution if absent and dataflow.space is path.",
    )
    budget: int = Field(
        ge=1, description="Candidates; warm starts and cache hits count, re-scoring doesn't."
    )
    seed: int = Field(default=0, ge=0, description="Equal seeds give equal runs.")
    mode: Literal["generation", "async"] = Field(
        default="generation",
        description="generation waits for whole generations and repeats exactly; async asks as "
        "soon as a worker is free.",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Settings of the searcher.")
    scalarise: ScalariseConfig | None = Field(
        default=None,
        description="Search several objectives with a searcher of one, by one number made of them.",
    )
    measures: dict[str, MeasureConfig] = Field(
        default_factory=dict,
        description="(map_elites, cma_me, cma_mae) what models are like; the best of each kind is "
        "kept.",
    )
    phases: list[PhaseConfig] | None = Field(
        default=None,
        min_length=2,
        description="Parts of the search, one after the other, instead of searcher and options.",
    )
    stop: StopConfig = Field(
        default_factory=StopConfig,
        description="When to end before the budget is spent.",
    )
    warm_starts: bool = Field(
        default=True, description="Try base, parents, uniform average and published defaults first."
    )
    recipes: list[str] = Field(
        default_factory=list, description="Recipe files of the user's that generation 0 tries too."
    )
    from_runs: list[str] = Field(
        default_factory=list,
        description="Folders of other runs, whose fronts generation 0 tries too, as far as the "
        "space has them.",
    )
    finalists: int = Field(
        default=16,
        ge=1,
        description="Candidates, best by search score, that are re-scored on validation.",
    )
    identical_failures: int = Field(
        default=10,
        ge=2,
        description="Stop after so many equal failures in a row, or before a whole generation of "
        "them would reach it.",
    )

    @model_validator(mode="after")
    def _phases_or_one(self) -> "SearchConfig":
        wrong = {"searcher", "options"} & self._changed()
        if self.phases is not None and wrong:
            raise ValueError(
                f"{min(wrong)} has no meaning beside phases. Give it under each of the phases."
            )
        return self


class ExecutionConfig(_Block):
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


class RunConfig(_Block):
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
        wrong = {"sources", "base", "recipe", "dataflow"} & self._changed()
        if wrong:
            raise ValueError(
                f"{min(wrong)} has no meaning beside network, which has no sources. Remove it."
            )
        if self.search.phases is not None:
            raise ValueError("search.phases has no meaning beside network. Remove it.")
        return self
