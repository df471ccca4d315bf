"""What a user writes about a recipe beside its stages, and its checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import Problem, nearest
from evomerge.recipes.recipe import DTYPES, Dataflow, Segment, Source


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
        dataflow: ``{segments: [[name, start, stop], …], embed, norm, head}`` or None.
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
    raw: Mapping[str, Any] | None, names: Sequence[str], problems: list[Problem]
) -> Dataflow | None:
    """Return the layer stack over the sources and stages ``names``, or None after a problem."""
    if raw is None:
        return None
    n_problems = len(problems)
    for key in sorted(set(raw) ^ {"segments", "embed", "norm", "head"}):
        _add(
            problems, f"dataflow.{key}", "unknown or missing; expected segments, embed, norm, head."
        )
    segments = raw.get("segments", [])
    for index, item in enumerate(segments if isinstance(segments, Sequence) else ()):
        key = f"dataflow.segments[{index}]"
        if not isinstance(item, Sequence) or len(item) != 3:
            _add(
                problems, key, f"got {item!r}, expected [name, first layer, layer after the last]."
            )
            continue
        name, start, stop = item
        if name not in names:
            _add(
                problems, key, f"no source or stage is called {name!r}; {nearest(str(name), names)}"
            )
        whole = isinstance(start, int) and isinstance(stop, int)
        if not whole or not 0 <= start < stop:
            _add(problems, key, f"got layers {start!r} to {stop!r}; expected 0 ≤ first < last.")
    for part in ("embed", "norm", "head"):
        if part in raw and raw[part] not in names:
            known = nearest(str(raw[part]), names)
            _add(
                problems, f"dataflow.{part}", f"no source or stage is called {raw[part]!r}; {known}"
            )
    if len(problems) > n_problems:
        return None
    parts = tuple(Segment(str(n), int(a), int(b)) for n, a, b in segments)
    return Dataflow(parts, raw["embed"], raw["norm"], raw["head"])


def _add(problems: list[Problem], key: str, message: str) -> None:
    problems.append(Problem(key, message))
