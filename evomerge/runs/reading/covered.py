"""A run's hypervolume as commands tell of it. Standard library alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EXACT_UP_TO = 4
"""Objectives up to which it is exact; a test holds this to ``search.fronts``, which needs numpy."""


@dataclass(frozen=True)
class Hypervolume:
    """How much of what could be reached a front covers.

    Args:
        value: Share of the ideal, in [0, 1].
        exact: False where it is approximated.
        reference: Objective → value from which it is measured, raw.
        ideal: Objective → value up to which it is, raw.
    """

    value: float
    exact: bool
    reference: Mapping[str, float]
    ideal: Mapping[str, float]


def hypervolume_of(
    objectives: Mapping[str, Mapping[str, Any]], value: float | None
) -> Hypervolume | None:
    """Return ``value`` with what it is measured by; None for None.

    Args:
        objectives: ``objectives`` of the stored run file.
        value: Share of the ideal.
    """
    if value is None:
        return None
    return Hypervolume(
        value=value,
        exact=len(objectives) <= EXACT_UP_TO,
        reference={name: raw["reference"] for name, raw in objectives.items()},
        ideal={name: raw["ideal"] for name, raw in objectives.items()},
    )
