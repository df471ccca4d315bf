"""The models, slices and settings of a mergekit file, read and checked but not yet interpreted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import Problem, nearest

CountLayers = Callable[[str, str | None], int]
"""(path, revision) → number of layers of that model."""

_TASK_VECTORS = ("weight", "density", "normalize", "rescale", "lambda", "int8_mask")
KNOWN_TO = {
    "linear": ("weight", "normalize"),
    "slerp": ("t",),
    "task_arithmetic": tuple(name for name in _TASK_VECTORS if name != "density"),
    "ties": _TASK_VECTORS,
    "dare_linear": _TASK_VECTORS,
    "dare_ties": _TASK_VECTORS,
    "passthrough": ("scale",),
}
"""Method → parameters that mergekit's method of that name takes; it ignores all others."""

PER_MODEL = {"weights": "weight", "densities": "density"}
"""Option of a stage, one value a model → setting that it comes from."""
PER_STAGE = {"scale": ("lambda", "scale"), "t": ("t",)}
"""Option of a stage → settings, of which each method knows one."""
BASE_METHODS = ("task_arithmetic", "ties", "dare_linear", "dare_ties")


@dataclass(frozen=True)
class Model:
    """A model as the file names it."""

    path: str
    revision: str | None


@dataclass(frozen=True)
class Input:
    """One model of a slice: its layers ``[start, stop)`` and its own settings."""

    model: Model
    start: int
    stop: int
    settings: Mapping[str, Any]
    key: str


@dataclass
class Slice:
    """What one slice merges, its base and its settings."""

    inputs: list[Input]
    base: Model | None
    settings: Mapping[str, Any]
    key: str


class SliceReader:
    """Reads the ``models:`` or ``slices:`` of a file.

    Args:
        raw: The file's content.
        count_layers: Number of layers of a model.
        problems: Mistakes are added here.

    Attributes:
        ignored: Parameters that the file's method doesn't know, which change nothing.
    """

    def __init__(
        self, raw: Mapping[str, Any], count_layers: CountLayers, problems: list[Problem]
    ) -> None:
        self.raw = raw
        self.count_layers = count_layers
        self.problems = problems
        self.ignored: list[Problem] = []

    def problem(self, key: str, message: str) -> None:
        """Note a mistake."""
        self.problems.append(Problem(key, message))

    def model(self, raw: Any, key: str) -> Model:
        """Return the model that ``path``, ``path@revision`` or a mapping names."""
        if isinstance(raw, Mapping):
            inner = raw.get("model", raw)
            if raw.get("lora") or raw.get("override_architecture"):
                self.problem(
                    key,
                    "LoRA adapters and other architectures aren't supported here. "
                    "Merge the adapter into its model first.",
                )
                return Model("", None)
            if isinstance(inner, Mapping):
                return Model(str(inner.get("path")), inner.get("revision"))
            raw = inner
        if not isinstance(raw, str) or not raw:
            self.problem(key, f"got {raw!r}, expected a folder or a hub id.")
            return Model("", None)
        if "+" in raw:
            self.problem(
                key,
                f"got {raw!r}: a LoRA adapter on a model isn't supported here. "
                "Merge the adapter into its model first.",
            )
            return Model("", None)  # not looked for: that would hide this mistake
        path, _, revision = raw.partition("@")
        return Model(path, revision or None)

    def slices(self, base: Model | None) -> list[Slice]:
        """Return the file's slices; the ``models:`` form is one slice of all layers."""
        given = [key for key in ("models", "slices") if self.raw.get(key)]
        if len(given) != 1:
            self.problem(
                "models", f"got {' and '.join(given) or 'neither models nor slices'}; expected one."
            )
            return []
        items = self.raw[given[0]]
        if not isinstance(items, list):
            self.problem(given[0], f"got {items!r}, expected a list.")
            return []
        if given[0] == "models":
            inputs = [self.input(item, f"models[{i}]", whole=True) for i, item in enumerate(items)]
            if base is not None and base not in [i.model for i in inputs]:
                inputs.append(self.whole(base, {}, "base_model"))
            return [Slice(inputs, base, {}, "models")]
        return [self.slice(item, f"slices[{i}]", base) for i, item in enumerate(items)]

    def slice(self, raw: Any, key: str, base: Model | None) -> Slice:
        """Return one entry of ``slices:``."""
        if not isinstance(raw, Mapping) or not isinstance(raw.get("sources"), list):
            self.problem(key, f"got {raw!r}, expected {{sources: [{{model, layer_range}}, …]}}.")
            return Slice([], base, {}, key)
        for extra in set(raw) - {"sources", "base_model", "parameters"}:
            self.problem(
                f"{key}.{extra}", "isn't supported; expected sources, base_model, parameters."
            )
        self.check_settings(raw.get("parameters"), f"{key}.parameters")
        inputs = [
            self.input(item, f"{key}.sources[{i}]", whole=False)
            for i, item in enumerate(raw["sources"])
        ]
        own = raw.get("base_model")
        base = self.model(own, f"{key}.base_model") if own else base
        return Slice(inputs, base, raw.get("parameters") or {}, key)

    def input(self, raw: Any, key: str, *, whole: bool) -> Input:
        """Return one model of a slice, or of ``models:`` (``whole``)."""
        allowed = {"model", "parameters"} | (set() if whole else {"layer_range"})
        if not isinstance(raw, Mapping) or "model" not in raw or set(raw) - allowed:
            self.problem(key, f"got {raw!r}, expected {', '.join(sorted(allowed))}.")
            return Input(Model("", None), 0, 1, {}, key)
        self.check_settings(raw.get("parameters"), f"{key}.parameters")
        model = self.model(raw["model"], f"{key}.model")
        if whole:
            return self.whole(model, raw.get("parameters") or {}, key)
        span = raw.get("layer_range")
        whole_numbers = isinstance(span, list) and all(type(v) is int for v in span)
        if not isinstance(span, list) or not whole_numbers or not _is_range(span):
            self.problem(
                f"{key}.layer_range", f"got {span!r}, expected [first layer, layer after the last]."
            )
            return Input(model, 0, 1, {}, key)
        return Input(model, span[0], span[1], raw.get("parameters") or {}, key)

    def whole(self, model: Model, settings: Mapping[str, Any], key: str) -> Input:
        """Return all layers of a model."""
        n_layers = self.count_layers(model.path, model.revision) if model.path else 1
        return Input(model, 0, n_layers, settings, key)

    def check_slice(self, piece: Slice, method: str) -> None:
        """Check a slice as mergekit does: lengths, the base among the models, their number."""
        lengths = {i.stop - i.start for i in piece.inputs}
        if len(lengths) > 1:
            found = ", ".join(f"{i.model.path} {i.start}–{i.stop}" for i in piece.inputs)
            self.problem(
                piece.key,
                f"the models have unequal numbers of layers ({found}). Give ranges of one length.",
            )
        for item in piece.inputs:
            n_layers = self.count_layers(item.model.path, item.model.revision)
            if item.stop > n_layers:
                self.problem(
                    f"{item.key}.layer_range",
                    f"ends at {item.stop}, but {item.model.path} has {n_layers} layers.",
                )
        models = [item.model for item in piece.inputs]
        if method in (*BASE_METHODS, "slerp"):
            if piece.base is None:
                self.problem("base_model", f"missing; {method} needs it. Name one of the models.")
            elif piece.base not in models:
                self.problem(piece.key, f"base_model {piece.base.path!r} isn't among the models.")
        if method == "slerp" and len(models) != 2:
            self.problem(
                piece.key, f"got {len(models)} models; slerp takes two, the base included."
            )
        if method == "passthrough" and len(models) != 1:
            self.problem(piece.key, f"got {len(models)} models; passthrough takes one a slice.")

    def check_settings(self, raw: Any, key: str) -> None:
        """Check the form of a ``parameters`` block, and note what the method doesn't know."""
        if raw is None:
            return
        if not isinstance(raw, Mapping):
            self.problem(key, f"got {raw!r}, expected a mapping.")
            return
        method = str(self.raw.get("merge_method"))
        known = KNOWN_TO.get(method, ())
        for name, setting in raw.items():
            if name not in known:
                message = f"is ignored, as {method} has no such parameter; "
                self.ignored.append(Problem(f"{key}.{name}", message + nearest(str(name), known)))
            else:
                self.check_setting(setting, f"{key}.{name}")

    def check_setting(self, raw: Any, key: str, *, inner: bool = False) -> None:
        """Check a scalar, a list over depth, or a list of {filter, value}."""
        cases = [raw] if isinstance(raw, Mapping) else raw
        if isinstance(cases, list) and cases and all(isinstance(c, Mapping) for c in cases):
            for index, case in enumerate(cases):
                wrong = inner or "value" not in case or set(case) - {"value", "filter"}
                text = case.get("filter") is None or isinstance(case["filter"], str)
                if wrong or not text:
                    message = f"got {dict(case)!r}, expected {{filter: TEXT, value: …}}."
                    self.problem(f"{key}[{index}]", message)
                else:
                    self.check_setting(case["value"], f"{key}[{index}].value", inner=True)
            return
        values = raw if isinstance(raw, list) else [raw]
        if not values or not all(isinstance(v, (bool, int, float)) for v in values):
            self.problem(
                key,
                f"got {raw!r}, expected a number, a list of numbers over depth, or "
                "[{filter, value}, …].",
            )


def setting_keys(
    piece: Slice, inputs: Sequence[Input], shared: Mapping[str, Any]
) -> dict[str, str]:
    """Return option of the stage → key of the setting that it comes from, as the file has it.

    Args:
        piece: The slice that became the stage.
        inputs: The stage's inputs, in its order.
        shared: The file's own ``parameters``.
    """
    outer = [(f"{piece.key}.parameters", piece.settings), ("parameters", shared)]
    keys = {}
    for index, item in enumerate(inputs):
        scopes = [(f"{item.key}.parameters", item.settings), *outer]
        for option, name in PER_MODEL.items():
            if found := [key for key, settings in scopes if name in settings]:
                keys[f"{option}[{index}]"] = f"{found[0]}.{name}"
    for option, names in PER_STAGE.items():
        for name in names:
            if found := [key for key, settings in outer if name in settings]:
                keys.setdefault(option, f"{found[0]}.{name}")
    return keys


def _is_range(span: list[int]) -> bool:
    return len(span) == 2 and 0 <= span[0] < span[1]
