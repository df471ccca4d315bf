"""How much genes matter for being among the best: PED-ANOVA, as Optuna has it.

Source: Watanabe et al. 2023, arXiv:2304.10255; for genes that count only at times arXiv:2601.20800.
"""

import functools
import logging
import math
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.service.reading.columns import Array
from evomerge.service.reading.genes import GeneColumn

FEWEST = 5
"""Candidates that must be among the best: with fewer the figures are noise (Optuna's advice)."""
_BLANKS = 10
_BLANK = "\0blank"  # no gene of a run can be called so
_alone = threading.Lock()


@dataclass(frozen=True)
class Importance:
    """What genes matter for one objective.

    Args:
        reason: Why it can't be told; empty where it can.
        shares: Gene → its share of the importance of all, the largest first.
        chance: The largest share that any of ten numbers drawn at random would get: what isn't
            above it may well mean nothing.
    """

    reason: str = ""
    shares: Mapping[str, float] = field(default_factory=dict)
    chance: float = 0.0


def importances(
    genes: Sequence[GeneColumn], utilities: Array, *, quantile: float
) -> list[Importance]:
    """Return how much each gene matters for being among the best by each objective.

    Args:
        genes: Genes of ``n`` candidates.
        utilities: Their objectives, larger is better, finite, shape ``(n, k)``.
        quantile: Share of the candidates that are the best.
    """
    reasons = [_objection(column, quantile) for column in utilities.T]
    if not genes or all(reasons):
        return [Importance(reason) for reason in reasons]
    with _alone, warnings.catch_warnings():
        # It warns of every target that isn't the study's own, and of genes that rarely count.
        warnings.simplefilter("ignore")
        return _by_optuna(genes, utilities, quantile, reasons)


def _objection(utilities: NDArray[np.float64], quantile: float) -> str:
    n = len(utilities)
    best = math.ceil(quantile * n)
    if best < FEWEST:
        need = math.floor((FEWEST - 1) / quantile) + 1
        return (
            f"{n} candidates have scores; to tell what the best {quantile:.0%} have in common it "
            f"takes {need}."
        )
    cutoff = np.partition(utilities, n - best)[n - best]
    if (utilities >= cutoff).mean() > (1 + quantile) / 2:
        return f"the best {quantile:.0%} can't be told from the others: too many have equal values."
    return ""


def _by_optuna(
    genes: Sequence[GeneColumn], utilities: Array, quantile: float, reasons: Sequence[str]
) -> list[Importance]:
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    logging.getLogger("optuna").setLevel(logging.WARNING)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
    study = optuna.create_study(directions=["maximize"] * utilities.shape[1])
    study.add_trials(_trials(genes, utilities))

    def of(place: int) -> Importance:
        # It takes the lowest for the best.
        found = evaluator.evaluate(study, target=lambda trial: -trial.values[place])
        blank = max(found[f"{_BLANK}{i}"] for i in range(_BLANKS))
        real = {gene.name: found.get(gene.name, 0.0) for gene in genes}
        total = sum(real.values()) or 1.0
        ordered = sorted(real.items(), key=lambda item: -item[1])
        return Importance("", {name: value / total for name, value in ordered}, blank / total)

    return [Importance(reason) if reason else of(i) for i, reason in enumerate(reasons)]


def _trials(genes: Sequence[GeneColumn], utilities: Array) -> list[Any]:
    from optuna.trial import create_trial

    rng = np.random.default_rng(0)
    blanks = [
        GeneColumn(f"{_BLANK}{i}", "float", 0.0, 1.0, False, (), False, rng.random(len(utilities)))
        for i in range(_BLANKS)
    ]
    every = [*genes, *blanks]
    kinds = {gene.name: _distribution(gene) for gene in every}
    columns = [
        gene.values.tolist()
        if gene.kind == "float"
        else [None if math.isnan(v) else int(v) for v in gene.values]
        for gene in every
    ]
    trials = []
    for row, values in enumerate(utilities.tolist()):
        params = {
            gene.name: column[row]
            for gene, column in zip(every, columns, strict=True)
            if not math.isnan(gene.values[row])
        }
        made = {name: kinds[name] for name in params}
        trials.append(create_trial(values=values, params=params, distributions=made))
    return trials


def _distribution(gene: GeneColumn) -> Any:
    """Return a gene's range as Optuna has it."""
    kinds = _shared()
    if gene.kind == "categorical":
        return kinds["CategoricalDistribution"](range(len(gene.choices)))
    if gene.kind == "int":
        low, high = math.ceil(gene.low), math.floor(gene.high)
        return kinds["IntDistribution"](low, high, log=gene.log)
    return kinds["FloatDistribution"](gene.low, gene.high, log=gene.log)


@functools.cache
def _shared() -> dict[str, Any]:
    """Return Optuna's distributions made to be shared by trials.

    Optuna copies and hashes the distribution of each gene of each trial, which would take most of
    the time.
    """
    from optuna import distributions

    def same(self: Any, memo: Any) -> Any:
        return self

    names = ("FloatDistribution", "IntDistribution", "CategoricalDistribution")
    methods = {"__deepcopy__": same, "__hash__": lambda self: id(self)}
    return {name: type(name, (getattr(distributions, name),), methods) for name in names}
