"""How candidates are proposed: the run file's ``search`` block and what it holds."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from evomerge.config.block import Block


class MeasureConfig(Block):
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


class ScalariseConfig(Block):
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


class PhaseConfig(Block):
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


class StopConfig(Block):
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


class SearchConfig(Block):
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
        wrong = {"searcher", "options"} & self.changed()
        if self.phases is not None and wrong:
            raise ValueError(
                f"{min(wrong)} has no meaning beside phases. Give it under each of the phases."
            )
        return self
