"""The bodies of answers on genes: importances, slices, correlations."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from evomerge.service.reading.chart_models import Axis, Column
from evomerge.service.reading.models import example


class GeneFacts(BaseModel):
    """A gene and its range."""

    model_config = example(
        name="merge.weights.math", kind="float", low=0.0, high=1.0, scale="linear", choices=[],
        inferred=False, counts_in=120,
    )  # fmt: skip

    name: str
    kind: Literal["float", "int", "categorical"]
    low: float
    high: float
    scale: Literal["linear", "log"]
    choices: list[str] = Field(description="Choices; values of slices are places in this list.")
    inferred: bool = Field(description="The space doesn't tell of it: its range is what was seen.")
    counts_in: int = Field(description="Candidates shown in which it counts.")


class GeneImportance(BaseModel):
    """How much genes matter for being among the best by one objective."""

    model_config = example(reason="", genes=["merge.weights.math"], value=[1.0], chance=0.04)

    reason: str = Field(description="Why it can't be told; empty where it can.")
    genes: list[str] = Field(description="The most important first.")
    value: list[float] = Field(description="Each one's share of all importance.")
    chance: float = Field(
        description="The largest share of ten numbers drawn at random: what isn't above it may "
        "mean nothing."
    )


class ParameterCounts(BaseModel):
    """Of how many candidates is told."""

    model_config = example(scored=120, shown=120, used=120)

    scored: int = Field(description="Proposals with scores.")
    shown: int = Field(description="Those in slices and correlations, a sample that stays.")
    used: int = Field(description="Those that importances rest on.")


class Slices(BaseModel):
    """Genes' values and objectives, as columns of equal length."""

    model_config = example(
        candidates=["3-2"], objectives={"math": [0.64]}, genes={"merge.weights.math": [0.7]}
    )

    candidates: list[str]
    objectives: dict[str, Column] = Field(description="Raw values on the search split.")
    genes: dict[str, Column] = Field(description="Null where a gene doesn't count.")


class RankCorrelations(BaseModel):
    """Spearman's rank correlations of the first genes and all objectives, of raw values."""

    model_config = example(
        genes=["merge.weights.math"], objectives=["math"], value=[[1.0, 0.61], [0.61, 1.0]],
        n=[[120, 120], [120, 120]],
    )  # fmt: skip

    genes: list[str] = Field(description="Rows and columns, before those of objectives.")
    objectives: list[str]
    value: list[list[float | None]] = Field(description="Null where one of two never varies.")
    n: list[list[int]] = Field(description="Candidates that each rests on.")


_IMPORTANCE: dict[str, Any] = {
    "math": {"reason": "", "genes": ["merge.weights.math"], "value": [1.0], "chance": 0.04}
}


class Parameters(BaseModel):
    """Which genes matter, how scores lie along them, what rises together; on the search split."""

    model_config = example(
        reason="", note="", counts={"scored": 120, "shown": 120, "used": 120},
        objectives=[{"name": "math", "direction": "maximize"}], genes=[], quantile=0.1,
        importance=_IMPORTANCE, slices={"candidates": [], "objectives": {}, "genes": {}},
        correlations={"genes": [], "objectives": ["math"], "value": [[1.0]], "n": [[120]]},
    )  # fmt: skip

    reason: str = Field(description="Why there is nothing to tell; empty where there is.")
    note: str = Field(description="What stands in the place of genes.")
    counts: ParameterCounts
    objectives: list[Axis]
    genes: list[GeneFacts] = Field(description="Those first that matter most.")
    quantile: float = Field(description="Share of the candidates that count as the best.")
    importance: dict[str, GeneImportance] = Field(description="By objective; by PED-ANOVA.")
    slices: Slices
    correlations: RankCorrelations
