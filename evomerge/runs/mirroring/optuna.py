"""A run as an Optuna study: for optuna-dashboard, and Optuna's plots and importances."""

import datetime
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from evomerge.runs.mirroring.feed import Feed, Outcome

_CANDIDATE = "candidate"


class OptunaMirror:
    """Writes a run into an Optuna storage as a study of its own.

    A failed candidate is a failed trial. What has been written before isn't written again.

    Args:
        url: SQLAlchemy URL of the storage.
    """

    def __init__(self, url: str) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self._url = url
        self._storage: Any = None
        self._study: Any = None
        self._known: set[str] = set()

    @property
    def where(self) -> str:
        """The study's name."""
        return str(self._study.study_name)

    def update(self, feed: Feed) -> int:
        """Write the outcomes that aren't there yet, and return how many."""
        if self._study is None:
            self._open(feed)
        genes = {gene["name"]: gene for gene in _genes(feed.space)}
        trials = [
            self._trial(outcome, feed, genes)
            for outcome in feed.outcomes
            if outcome.candidate.candidate_id not in self._known
        ]
        for trial in trials:
            self._study.add_trial(trial)
            self._known.add(trial.user_attrs[_CANDIDATE])
        self._tell(feed)
        return len(trials)

    def close(self) -> None:
        """Close the storage."""
        if self._storage is not None:
            self._storage.engine.dispose()

    def _open(self, feed: Feed) -> None:
        directions: Any = list(feed.directions.values())
        self._storage = self._optuna.storages.RDBStorage(self._url)
        self._study = self._optuna.create_study(
            storage=self._storage,
            study_name=f"{feed.name} {feed.run_id[:8]}",
            directions=directions,
            load_if_exists=True,
        )
        with warnings.catch_warnings():
            # Optuna calls it experimental; without it the dashboard numbers the objectives.
            warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
            self._study.set_metric_names(list(feed.directions))
        self._study.set_user_attr("run_id", feed.run_id)
        self._known = {
            trial.user_attrs[_CANDIDATE]
            for trial in self._study.get_trials(deepcopy=False)
            if _CANDIDATE in trial.user_attrs
        }

    def _tell(self, feed: Feed) -> None:
        wanted = {"state": feed.state, "best": feed.best}
        stored = self._study.user_attrs
        for name, value in wanted.items():
            if stored.get(name) != value:
                self._study.set_user_attr(name, value)

    def _trial(self, outcome: Outcome, feed: Feed, genes: Mapping[str, Any]) -> Any:
        trial = self._optuna.trial
        complete = len(outcome.values) == len(feed.directions)
        params, distributions = {}, {}
        for name, value in (outcome.candidate.genome or {}).items():
            if name in genes:
                params[name], distributions[name] = self._parameter(genes[name], value)
        row = outcome.candidate
        attributes = {
            _CANDIDATE: row.candidate_id,
            "origin": row.origin,
            "parents": list(row.parents),
            "recipe_hash": row.recipe_hash,
        }
        if outcome.failure:
            attributes["failure"] = outcome.failure
        made = trial.create_trial(
            state=trial.TrialState.COMPLETE if complete else trial.TrialState.FAIL,
            values=[outcome.values[name] for name in feed.directions] if complete else None,
            params=params,
            distributions=distributions,
            user_attrs=attributes,
            system_attrs={"constraints": [outcome.violation]},
        )
        made.datetime_start = datetime.datetime.fromtimestamp(outcome.began_s)
        made.datetime_complete = datetime.datetime.fromtimestamp(outcome.finished_s)
        return made

    def _parameter(self, gene: Mapping[str, Any], value: Any) -> tuple[Any, Any]:
        """Return a gene's value and its distribution, as Optuna takes them."""
        kinds = self._optuna.distributions
        if gene["kind"] == "categorical":
            choices = [_plain(choice) for choice in gene["choices"]]
            return _plain(value), kinds.CategoricalDistribution(choices)
        low, high, log = gene["low"], gene["high"], gene["scale"] == "log"
        if gene["kind"] == "int":
            # Whole numbers from a log scale, too, as Optuna counts them.
            return int(value), kinds.IntDistribution(math.ceil(low), math.floor(high), log=log)
        return float(value), kinds.FloatDistribution(low, high, log=log)


def _genes(space: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give the genes of a space, or of the spaces of a search in phases."""
    yield from space.get("genes", ())
    for part in space.get("phases", ()):
        yield from _genes(part)


def _plain(choice: Any) -> Any:
    return choice if choice is None or isinstance(choice, bool | int | float | str) else str(choice)
