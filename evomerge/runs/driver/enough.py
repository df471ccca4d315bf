"""Rules by which a search ends before its budget is spent: enough reached, used, or tried in vain.

They look at what the searcher was told, in the ledger's order, so a resumed run ends where the
undisturbed one would have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evomerge.runs.objectives import Objectives
from evomerge.search.fronts import FrontArchive


@dataclass(frozen=True)
class StopRules:
    """When to end early; a rule that is None never does.

    Args:
        target: Objective → raw value; a candidate that reaches all of them is enough.
        stagnation: So many results in a row that better nothing.
        device_hours: Hours that devices were held, working or waiting.
    """

    target: Mapping[str, float] = field(default_factory=dict)
    stagnation: int | None = None
    device_hours: float | None = None


class Watch:
    """Looks at results as the searcher is told of them, and says when it is enough.

    A rule that ended the search once is silent after the budget was extended.

    Args:
        rules: When it is.
        objectives: What is optimised.
        decisions: The run's decisions so far, in order, as (kind, body).
    """

    def __init__(
        self,
        rules: StopRules,
        objectives: Objectives,
        decisions: Sequence[tuple[str, Mapping[str, Any]]] = (),
    ) -> None:
        self._rules = rules
        self._objectives = objectives
        self._front: FrontArchive[None] = FrontArchive()
        self._in_vain = 0
        self._reached = False
        self._fired: set[str] = set()
        for kind, body in decisions:
            if kind == "tell":
                self.told(body["results"])
            elif kind == "extend":
                self.extended(body)

    def told(self, results: Sequence[Sequence[Any]]) -> None:
        """Take results in, ``[id, utilities or null, error]`` each, and a violation if any."""
        for _, values, _, *rest in results:
            violation = rest[0] if rest else 0.0
            self._in_vain += 1
            if values is None:
                continue
            front = self._front.values
            known = len(front) > 0 and bool((front == np.array(values)).all(axis=1).any())
            if self._front.add(values, None, violation=violation) and not known:
                self._in_vain = 0
            self._reached |= not violation and self._reaches(values)

    def reason(self, device_s: float) -> str:
        """Return the rule by which the search is to end now, or nothing.

        Args:
            device_s: Device-seconds of all attempts, waiting included.
        """
        rules = self._rules
        stagnation, hours = rules.stagnation, rules.device_hours
        holds = {
            "target": self._reached,
            "stagnation": stagnation is not None and self._in_vain >= stagnation,
            "device_hours": hours is not None and device_s >= hours * 3600,
        }
        return next((name for name in holds if holds[name] and name not in self._fired), "")

    def extended(self, body: Mapping[str, Any]) -> None:
        """Take a new budget in: the user's, or that of a rule, which has a ``reason``."""
        if "reason" in body:
            self._fired.add(body["reason"])
        self._in_vain = 0

    def _reaches(self, values: Sequence[float]) -> bool:
        target = self._rules.target
        pairs = zip(self._objectives.all, values, strict=True)
        wanted = [(item, value) for item, value in pairs if item.name in target]
        return bool(wanted) and all(
            value >= item.utility(target[item.name]) for item, value in wanted
        )
