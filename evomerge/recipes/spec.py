"""What a user writes about a recipe beside its stages, and its checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import Problem, RecipeError, nearest
from evomerge.recipes.recipe import DTYPES, FLOW_ENDS, STEP_NUMBERS, Dataflow, Source, Step

MOST_LAYERS = 100_000
"""No model is so deep; a longer run of layers would only fill the memory."""


@dataclass(frozen=True)
class RecipeSpec:
    """What a user writes about a recipe, with its sources resolved.

    Args:
        sources: All sources, in the user's order.
        base: Base model, configuration and tokenizer; the first source if None.
        stages: One mapping a stage: ``method``, ``inputs`` (names, or ``{source, shift}``),
            optional ``name`` and ``base``, and the method's parameters beside them or under
            ``options``.
        dtype: One of ``DTYPES``; None keeps the base's.
        tokenizer: Source of the tokenizer; the base if None.
        seed: Key of stochastic methods.
        dataflow: ``{steps: [{source, layer}, …], embedding, norm, head}`` or None.
        where: File, for messages.
        key: Key of ``stages`` in that file, for messages.
    """

    sources: tuple[Source, ...]
    base: str | None
    stages: tuple[Mapping[str, Any], ...]
    dtype: str | None = None
    tokenizer: str | None = None
    seed: int = 0
    dataflow: Mapping[str, Any] | None = None
    where: str = ""
    key: str = "recipe.parameters"


def check_head(spec: RecipeSpec) -> list[Problem]:
    """Return what is wrong beside the stages."""
    sources = [source.name for source in spec.sources]
    problems: list[Problem] = []
    parent = spec.key.rpartition(".")[0]
    prefix = f"{parent}." if parent else ""
    if spec.base is not None and spec.base not in sources:
        _add(problems, "base", f"no source is called {spec.base!r}; {nearest(spec.base, sources)}")
    if spec.tokenizer is not None and spec.tokenizer not in sources:
        known = nearest(spec.tokenizer, sources)
        _add(problems, f"{prefix}tokenizer", f"no source is called {spec.tokenizer!r}; {known}")
    if spec.dtype is not None and spec.dtype not in DTYPES:
        known = nearest(str(spec.dtype), DTYPES)
        _add(problems, f"{prefix}dtype", f"got {spec.dtype!r}; {known}")
    if isinstance(spec.seed, bool) or not isinstance(spec.seed, int) or spec.seed < 0:
        _add(problems, f"{prefix}seed", f"got {spec.seed!r}, expected a whole number ≥ 0.")
    return problems


def read_dataflow(
    raw: Any, names: Sequence[str], base: str, problems: list[Problem]
) -> Dataflow | None:
    """Return the route over the sources and stages ``names``, or None after a problem.

    Args:
        raw: ``{steps: [...], embedding, norm, head}``. A step is ``{source, layer, scale, qk,
            write}``, or ``{source, layers: [first, after the last]}`` for a run of plain ones.
        names: Known sources and stages.
        base: Where embedding, norm and head come from if ``raw`` doesn't say.
        problems: Mistakes are added here.
    """
    if raw is None:
        return None
    n_problems = len(problems)
    if not isinstance(raw, Mapping):
        _add(problems, "dataflow", f"got {raw!r}, expected {{steps: [{{source, layer}}, …]}}.")
        return None
    known = ("steps", *FLOW_ENDS)
    for key in raw:
        if key not in known:
            _add(problems, f"dataflow.{key}", f"unknown key; {nearest(str(key), known)}")
    ends = {part: raw.get(part, base) for part in FLOW_ENDS}
    for part, name in ends.items():
        _check_name(name, names, f"dataflow.{part}", problems)
    items = raw.get("steps")
    if not isinstance(items, (list, tuple)) or not items:
        _add(problems, "dataflow.steps", f"got {items!r}, expected a list of at least one layer.")
        return None
    steps: list[Step] = []
    for index, item in enumerate(items):
        steps += _read_steps(item, names, f"dataflow.steps[{index}]", problems)
    return None if len(problems) > n_problems else Dataflow(tuple(steps), **ends)


def _read_steps(raw: Any, names: Sequence[str], key: str, problems: list[Problem]) -> list[Step]:
    """Return the steps of one entry, which stands for one layer or a run of layers."""
    is_run = isinstance(raw, Mapping) and "layers" in raw
    known = ("source", "layers") if is_run else ("source", "layer", *STEP_NUMBERS)
    if not isinstance(raw, Mapping) or not {"source", known[1]} <= set(raw):
        wanted = "{source, layer} or {source, layers: [first, after the last]}"
        _add(problems, key, f"got {raw!r}, expected {wanted}.")
        return []
    n_problems = len(problems)
    for extra in raw:
        if extra not in known:
            message = f"unknown key; {nearest(str(extra), known)}"
            if is_run and extra in ("layer", *STEP_NUMBERS):
                message = "has no meaning beside layers. Give these layers one by one."
            _add(problems, f"{key}.{extra}", message)
    _check_name(raw["source"], names, f"{key}.source", problems)
    layers = _read_layers(raw[known[1]], f"{key}.{known[1]}", problems)
    numbers = {name: raw.get(name, 1.0) for name in STEP_NUMBERS}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            _add(problems, f"{key}.{name}", f"got {value!r}, expected a number.")
    if len(problems) > n_problems:
        return []
    try:
        return [Step(raw["source"], layer, **numbers) for layer in layers]
    except RecipeError as error:
        _add(problems, key, str(error))
        return []


def _read_layers(raw: Any, key: str, problems: list[Problem]) -> Sequence[int]:
    """Return the layers that an index or a pair (first, after the last) means."""
    if key.endswith(".layer"):
        if type(raw) is int and raw >= 0:
            return [raw]
        _add(problems, key, f"got {raw!r}, expected a layer's index, counted from 0.")
        return []
    pair = list(raw) if isinstance(raw, (list, tuple)) else []
    if len(pair) == 2 and all(type(end) is int for end in pair) and 0 <= pair[0] < pair[1]:
        if pair[1] <= MOST_LAYERS:
            return range(pair[0], pair[1])
        _add(problems, key, f"got {raw!r}, expected no layer beyond {MOST_LAYERS}.")
        return []
    _add(problems, key, f"got {raw!r}, expected [first layer, layer after the last].")
    return []


def _check_name(name: Any, names: Sequence[str], key: str, problems: list[Problem]) -> None:
    if name not in names:
        hint = nearest(str(name), names)
        _add(problems, key, f"no source or stage is called {name!r}; {hint}")


def _add(problems: list[Problem], key: str, message: str) -> None:
    problems.append(Problem(key, message))
