"""What a search by one number made of several objectives was after, on its front."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evomerge.runs.objectives import Objectives
from evomerge.runs.ranking import Utilities
from evomerge.search.scalarise import measured, scalarise


def scalarised_best(
    wanted: Mapping[str, Any] | None,
    objectives: Objectives,
    first: Sequence[Sequence[float]],
    front: Utilities,
) -> str | None:
    """Return the member of a front that has the largest of the numbers that the searcher was told.

    Args:
        wanted: ``search.scalarise`` of the stored run file; None where it has none.
        objectives: The run's.
        first: Utilities of the first ask's candidates, from which the scale is taken.
        front: The front's utilities.

    Returns:
        Its id; None without ``wanted``, a front or a scale.
    """
    if wanted is None or not front or not len(first):
        return None
    best, ranges = measured(np.array(first))
    weights = wanted.get("weights") or {item.name: 1.0 for item in objectives.all}
    aspiration = wanted.get("aspiration")
    reference = best
    if aspiration is not None:
        reference = np.array([item.utility(aspiration[item.name]) for item in objectives.all])
    shares = [weights.get(item.name, 0.0) for item in objectives.all]
    points = np.array(list(front.values()))
    merit = scalarise(points, wanted["kind"], shares, reference, ranges)
    return list(front)[int(merit.argmax())]
