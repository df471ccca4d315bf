"""Values of parameters written as mergekit's settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.errors import RecipeError
from evomerge.models.architecture import TensorFacts, local_name
from evomerge.recipes.recipe import Source
from evomerge.recipes.values import Value, evaluate

OUTSIDE_LAYERS = r"re:^(?!.*\.\d+\.)"
"""Filter for the tensors whose name holds no layer number."""


class SettingWriter:
    """Writes values as mergekit's settings."""

    def __init__(self, tensors: Mapping[str, TensorFacts] | None, n_layers: int) -> None:
        self._tensors = [t for t in (tensors or {}).values() if "F" in t.dtype]
        self._n_layers = n_layers

    def setting(self, value: Value, name: str) -> Any:
        """Return ``value`` as a scalar, a list over depth, or a list of {filter, value}."""
        if not isinstance(value, Mapping):
            return value
        if (direct := direct_setting(value)) is not None:
            return direct
        if not self._tensors:
            raise refuse(
                f"{name} differs by block, role or tensor, which mergekit can only write with the "
                "model's tensor names"
            )
        return self._by_name(value)

    def at_layer(self, value: Value, layer: int, n_layers: int) -> Any:
        """Return ``value`` in one layer as a scalar or a list of {filter, value}.

        Args:
            value: A value over a source's layers.
            layer: One of them.
            n_layers: Their number.
        """
        direct = direct_setting(value) if isinstance(value, Mapping) else value
        cases = direct if isinstance(direct, list) else [{"value": direct}]
        if direct is not None and all(
            isinstance(case, Mapping) and isinstance(case["value"], (int, float)) for case in cases
        ):
            return direct
        inside = {local_name(t.name): t for t in self._tensors if t.layer == layer}
        if not inside:
            raise refuse("a scale differs over depth, which needs the model's tensor names")
        outside = {t.name: t for t in self._tensors if t.layer is None}
        names = sorted({**inside, **outside}, key=len, reverse=True)
        found = {n: evaluate(value, {**inside, **outside}[n], n_layers) for n in names}
        if len(set(found.values())) == 1:
            return found[names[0]]
        return [{"filter": name, "value": value} for name, value in found.items()]

    def is_one_outside(self, value: Value) -> bool:
        """Tell whether ``value`` is 1 for all tensors outside the layers."""
        outside = [t for t in self._tensors if t.layer is None]
        return bool(outside) and all(evaluate(value, t, self._n_layers) == 1 for t in outside)

    def _by_name(self, value: Value) -> list[dict[str, Any]]:
        """Return one case a layer where its tensors agree, one a tensor where they don't."""
        values = {t.name: evaluate(value, t, self._n_layers) for t in self._tensors}
        cases: dict[str, Any] = {}
        for layer in range(self._n_layers):
            members = [t.name for t in self._tensors if t.layer == layer]
            mark = f".{layer}."
            prefixes = {name[: name.find(mark) + len(mark)] for name in members if mark in name}
            same = len({values[name] for name in members}) == 1
            if members and same and len(prefixes) == 1 and all(mark in n for n in members):
                cases[prefixes.pop()] = values[members[0]]
            else:
                cases |= {name: values[name] for name in members}
        cases |= {t.name: values[t.name] for t in self._tensors if t.layer is None}
        # A filter is a substring: the longer name must be asked for first.
        ordered = sorted(cases.items(), key=lambda case: -len(case[0]))
        self._check(values, ordered)
        return [{"filter": text, "value": found} for text, found in ordered]

    def _check(self, values: Mapping[str, Any], cases: Sequence[tuple[str, Any]]) -> None:
        for name, wanted in values.items():
            got = next(found for text, found in cases if text in name)
            if got != wanted:
                raise refuse(f"no list of filters gives {name!r} its own value")


def direct_setting(value: Mapping[str, Any]) -> Any:
    """Return the setting of a value that mergekit can say without tensor names, or None."""
    if "gradient" in value:
        anchors = value["gradient"]
        return list(anchors) if anchors[0] == anchors[-1] else None
    if "by" not in value:
        return None
    cases = value["by"]
    if cases[0].get("filter") == OUTSIDE_LAYERS and len(cases) == 2:
        inside = cases[1]["value"]
        if isinstance(inside, Mapping) and "gradient" in inside:
            anchors = inside["gradient"]
            return list(anchors) if anchors[0] == cases[0]["value"] else None
    written = []
    for case in cases:
        item = case["value"]
        setting = direct_setting(item) if isinstance(item, Mapping) else item
        filter = case.get("filter")
        nested = isinstance(setting, list) and isinstance(setting[0], Mapping)
        if setting is None or nested or not (filter is None or filter.startswith("has:")):
            return None
        written.append(({"filter": filter[4:]} if filter else {}) | {"value": setting})
    return written


def reference(source: Source) -> str:
    """Return a model as mergekit's files name it."""
    return f"{source.path}@{source.revision}" if source.revision else source.path


def refuse(why: str) -> RecipeError:
    """Return the error of a recipe that mergekit has no exact counterpart of."""
    return RecipeError(
        f"this recipe has no exact mergekit counterpart: {why}. "
        "Export it with --format hf or --format recipe."
    )
