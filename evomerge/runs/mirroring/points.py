"""Outcomes as named numbers, step by step, with a run's settings: for trackers of metrics."""

from collections.abc import Iterator
from typing import Any

from evomerge.runs.mirroring.feed import Feed, Outcome

_LONGEST = 500
_BETTER = {"maximize": max, "minimize": min}


def points_of(feed: Feed) -> Iterator[tuple[Outcome, dict[str, float]]]:
    """Give each outcome with its values: its objectives, the best of each so far, failures so far.

    Only candidates that keep the constraints are ever best.
    """
    best: dict[str, float] = {}
    failed = 0
    for outcome in feed.outcomes:
        failed += not outcome.values
        for name, value in outcome.values.items():
            if outcome.violation == 0:
                better = _BETTER[feed.directions[name]]
                best[name] = better(best.get(name, value), value)
        values = dict(outcome.values)
        values |= {f"best/{name}": value for name, value in best.items()}
        yield outcome, values | {"failed": float(failed)}


def settings_of(feed: Feed) -> dict[str, str]:
    """Return the settings that tell runs apart as ``search.budget`` → text."""
    config, search = feed.config, feed.config["search"]
    found: dict[str, Any] = {
        "base": config.get("base"),
        "sources": ", ".join(config.get("sources", ())),
        "tasks": ", ".join(config.get("evaluators", ())),
        "executor": config.get("execution", {}).get("executor"),
        "run_id": feed.run_id,
    }
    simple = (bool, int, float, str)
    found |= {f"search.{key}": value for key, value in search.items() if isinstance(value, simple)}
    return {key: str(value)[:_LONGEST] for key, value in found.items() if value is not None}
