"""Conditional genes: ``only_if`` in a search block."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evomerge.recipes.plan import PlannedGene


def apply_condition(genes: list[PlannedGene], name: str, stage: int, wanted: Any) -> str | None:
    """Make the gene ``name`` active only while another gene of its stage has a wanted value.

    Args:
        genes: All genes; the entry of ``name`` is replaced.
        name: The conditional gene.
        stage: Index of its stage.
        wanted: ``{PARAMETER: value or list of values}``, as the user wrote it.

    Returns:
        What is wrong with ``wanted``, or None.
    """
    at = next(i for i, planned in enumerate(genes) if planned.gene.name == name)
    if not isinstance(wanted, Mapping) or len(wanted) != 1:
        return f"got {wanted!r}, expected {{PARAMETER: VALUE}}."
    ((switch, values),) = wanted.items()
    switches = [g for g in genes if g.stage == stage and g.parameter.name == switch]
    simple = len(switches) == 1 and switches[0].gene.active_if is None
    if not simple or switches[0].gene.name == name:
        return (
            f"{switch!r} isn't one searched value of this stage that always counts. "
            "Name a parameter that is searched for the whole model."
        )
    gene = switches[0].gene
    values = values if isinstance(values, (list, tuple)) else [values]
    for value in values:
        if message := switches[0].parameter.check(value):
            return message
    if gene.kind == "categorical" and not set(values) <= set(gene.choices):
        return f"got {values!r}; {switch} has the choices {list(gene.choices)!r}."
    planned = genes[at]
    default = _inactive_value(planned)
    condition = (gene.name, tuple(values))
    new = replace(planned.gene, active_if=condition, default=default)
    genes[at] = replace(planned, gene=new)
    return None


def _inactive_value(planned: PlannedGene) -> Any:
    """Return the parameter's default as the inactive value, or None where it can't be one."""
    default = planned.parameter.default
    if planned.gene.kind == "categorical":
        return default if default in planned.gene.choices else None
    if planned.gene.kind == "float" and isinstance(default, (int, float)):
        return float(default)
    return default if isinstance(default, int) else None
