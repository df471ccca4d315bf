"""A searcher of one objective for several, as ``search.scalarise`` says."""

from collections.abc import Mapping

from evomerge.config.run import RunConfig
from evomerge.config.search import ScalariseConfig
from evomerge.errors import Problem, nearest
from evomerge.search.protocol import SEARCHERS, Searcher, needs_examples
from evomerge.search.scalarise import ScalarisedSearcher


def check_scalarise(config: RunConfig, problems: list[Problem]) -> None:
    """Check that there are several objectives, and that what it names are objectives."""
    wanted = config.search.scalarise
    if wanted is None:
        return
    key = "search.scalarise"
    names = list(config.objectives)
    if len(names) == 1:
        problems.append(Problem(key, "has no meaning with one objective. Remove it."))
        return
    if needs_examples(SEARCHERS.get(config.search.searcher).value):
        message = f"{config.search.searcher} learns from examples, not from one number. Remove it."
        problems.append(Problem(key, message))
    for part in ("weights", "aspiration"):
        for name in getattr(wanted, part) or {}:
            if name not in names:
                message = f"no objective is called {name!r}; {nearest(name, names)}"
                problems.append(Problem(f"{key}.{part}", message))
    missing = [name for name in names if name not in (wanted.aspiration or names)]
    if missing:
        message = f"{', '.join(missing)} is missing. Give a value for each objective."
        problems.append(Problem(f"{key}.aspiration", message))


def scalarised(config: RunConfig, wanted: ScalariseConfig, inner: Searcher) -> ScalarisedSearcher:
    """Return ``inner``, built for one objective, as a searcher of all of the run file's."""
    weights: Mapping[str, float] = wanted.weights or dict.fromkeys(config.objectives, 1.0)
    aspiration = wanted.aspiration
    signs = {n: 1 if o.direction == "maximize" else -1 for n, o in config.objectives.items()}
    return ScalarisedSearcher(
        inner,
        kind=wanted.kind,
        weights=[weights.get(name, 0.0) for name in signs],
        aspiration=None if aspiration is None else [s * aspiration[n] for n, s in signs.items()],
    )
