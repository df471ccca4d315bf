"""Writes an Optuna study down as plain data, and builds it again, trial by trial."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evomerge.search.fronts import pareto_ranks


def study_to_plain(study: Any) -> dict[str, Any]:
    """Return the study's trials in order, and its own attributes, as plain data."""
    return {
        "attributes": study._storage.get_study_system_attrs(study._study_id),
        "trials": [
            {
                "state": trial.state.name,
                "values": None if trial.values is None else list(trial.values),
                "params": dict(trial.params),
                "attributes": dict(trial.system_attrs),
            }
            for trial in study.get_trials(deepcopy=False)
        ],
    }


def fill_study(study: Any, plain: Mapping[str, Any], distributions: Mapping[str, Any]) -> None:
    """Give the empty ``study`` the trials of ``plain``, with the same numbers."""
    import optuna

    for name, value in plain["attributes"].items():
        study._storage.set_study_system_attr(study._study_id, name, value)
    study.add_trials(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState[trial["state"]],
            values=trial["values"],
            params=trial["params"],
            distributions={name: distributions[name] for name in trial["params"]},
            system_attrs=trial["attributes"],
        )
        for trial in plain["trials"]
    )


def set_violation(study: Any, number: int, violation: float) -> None:
    """Let Optuna know by how much trial ``number`` misses the constraints; others keep them."""
    trial = study.get_trials(deepcopy=False)[number]
    study._storage.set_trial_system_attr(trial._trial_id, "constraints", [violation])


def show_defaults(trial: Any, hidden: Mapping[str, Any]) -> None:
    """Put ``hidden`` (parameter → Optuna's value) in the place of what a running trial drew."""
    for name, value in hidden.items():
        if (distribution := trial.distributions.get(name)) is not None:
            internal = distribution.to_internal_repr(value)
            trial.storage.set_trial_param(trial._trial_id, name, internal, distribution)


def best_first(trials: Sequence[Any]) -> list[Any]:
    """Return finished trials by Pareto rank, infeasible ones last; of equal ranks the first."""
    if not trials:
        return []
    violations = [sum(trial.constraints.values()) for trial in trials]
    ranks = pareto_ranks(-np.array([trial.values for trial in trials]), violations)
    return [trials[index] for index in np.argsort(ranks, kind="stable")]


def generation_of(trial: Any, sampler: str) -> int:
    """Return the generation that NSGA has given ``trial``; −1 where it has none."""
    return int(trial.system_attrs.get(f"{sampler}:generation", -1))


def moved_to(trial: Any, losses: Sequence[float], sampler: str, generation: int) -> Any:
    """Return ``trial`` as a new one of another generation, finished with ``losses``."""
    import optuna

    return optuna.trial.create_trial(
        params=trial.params,
        distributions=trial.distributions,
        values=losses,
        system_attrs={**trial.system_attrs, f"{sampler}:generation": generation},
    )
