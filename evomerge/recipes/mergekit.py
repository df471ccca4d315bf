"""mergekit's configuration files, read as recipes.

What mergekit (0.1.5) does and this importer reproduces: a filter is a plain substring; the first
setting that gives a value wins, from the slice's model over the slice to the file; a list over
depth is spread over the slice's own layers, and what stands outside the layers takes its first
value; a base that isn't among ``models`` joins them; DARE rescales to the L1 norm and prunes 1-D
tensors too. ``dtype`` is the result's element type here (mergekit also rounds the inputs to it).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from evomerge.errors import Problem, ProblemsError, nearest
from evomerge.recipes.build import RecipeSpec, build_recipe
from evomerge.recipes.declarations import Declaration
from evomerge.recipes.files import LocateSource, is_mergekit
from evomerge.recipes.mergekit_export import SHARED_METHODS, export_mergekit
from evomerge.recipes.mergekit_settings import OUTSIDE_LAYERS
from evomerge.recipes.mergekit_slices import (
    BASE_METHODS,
    CountLayers,
    Input,
    Model,
    Slice,
    SliceReader,
    setting_keys,
)
from evomerge.recipes.recipe import DTYPES, Recipe, Source

__all__ = ["CountLayers", "Imported", "export_mergekit", "import_mergekit", "is_mergekit"]

TOP_KEYS = (
    "base_model",
    "chat_template",
    "dtype",
    "merge_method",
    "models",
    "name",
    "out_dtype",
    "parameters",
    "slices",
    "tokenizer",
    "tokenizer_source",
)
UNSUPPORTED = {"modules": "use models: or slices:"}
STAGES = "mergekit stages"
NORMALIZE = {"linear": True, "ties": True, "dare_ties": False}
RESCALE = {"dare_linear": True, "dare_ties": True}


@dataclass(frozen=True)
class Imported:
    """A mergekit file as a recipe.

    Args:
        recipe: The recipe.
        union_tokenizer: The file asks for the union of the sources' vocabularies; the recipe equals
            it only where they are all the same, which the caller checks.
        auto_template: The file asks for the commonest of the sources' chat templates; the recipe
            keeps that of the tokenizer's source, and the caller tells where that differs.
        ignored: Parameters that the method doesn't know; mergekit ignores them too, silently.
    """

    recipe: Recipe
    union_tokenizer: bool = False
    auto_template: bool = False
    ignored: tuple[Problem, ...] = ()


@dataclass
class _Range:
    """The layers that a stage's values are for: ``[start, stop)`` of ``n_layers``."""

    start: int
    stop: int
    n_layers: int


def import_mergekit(
    raw: Mapping[str, Any],
    declarations: Mapping[str, Declaration],
    *,
    locate_source: LocateSource,
    count_layers: CountLayers,
    where: str = "",
) -> Imported:
    """Return the recipe that an unchanged mergekit file describes.

    Args:
        raw: The file's content.
        declarations: Methods by name.
        locate_source: Finds a source and its hash.
        count_layers: Number of layers of a model.
        where: File, for messages.

    Raises:
        ProblemsError: Whatever the file asks for that has no counterpart here, with its key, what
            is allowed, and the mend.
    """
    return _Importer(raw, declarations, locate_source, count_layers, where).run()


@dataclass
class _Importer:
    raw: Mapping[str, Any]
    declarations: Mapping[str, Declaration]
    locate: LocateSource
    count_layers: CountLayers
    where: str
    problems: list[Problem] = field(default_factory=list)
    models: dict[Model, Source] = field(default_factory=dict)
    origins: list[dict[str, str]] = field(default_factory=list)
    """For each stage: key of an option → key of the file's setting that it came from."""

    def problem(self, key: str, message: str) -> None:
        self.problems.append(Problem(key, message))

    def stop(self) -> None:
        if self.problems:
            raise ProblemsError(self.where, dict.fromkeys(self.problems))

    def run(self) -> Imported:
        raw = self.raw
        reader = SliceReader(raw, self.count_layers, self.problems)
        for key in raw:
            if key in UNSUPPORTED:
                self.problem(str(key), f"isn't supported here; {UNSUPPORTED[key]}.")
            elif key not in TOP_KEYS:
                self.problem(str(key), f"unknown key; {nearest(str(key), TOP_KEYS)}")
        self.check_template()
        method = raw.get("merge_method")
        if method not in SHARED_METHODS:
            known = nearest(str(method), SHARED_METHODS)
            self.problem("merge_method", f"{method!r} isn't supported here; {known}")
        self.stop()
        base = reader.model(raw["base_model"], "base_model") if raw.get("base_model") else None
        slices = reader.slices(base)
        reader.check_settings(raw.get("parameters"), "parameters")
        self.stop()
        names = self.name_sources(slices, base)
        self.stop()
        for piece in slices:
            reader.check_slice(piece, str(method))
        self.stop()
        stages, dataflow = self.stages(slices, str(method), names)
        tokenizer, union = self.tokenizer(reader, names)
        spec = RecipeSpec(
            sources=tuple(self.models.values()),
            base=names[base] if base else names[slices[0].inputs[0].model],
            stages=tuple(stages),
            dtype=self.dtype(),
            tokenizer=tokenizer,
            dataflow=dataflow,
            where=self.where,
            key=STAGES,
        )
        self.stop()
        try:
            recipe = build_recipe(spec, self.declarations)
        except ProblemsError as error:
            self.problems += [Problem(self.origin(p.key), p.message) for p in error.problems]
            self.stop()
            raise
        auto = self.raw.get("chat_template") == "auto"
        return Imported(recipe, union, auto, tuple(reader.ignored))

    def origin(self, key: str) -> str:
        """Return the file's key of what has ``key`` among the stages that it became."""
        for index, origins in enumerate(self.origins):
            for option, written in origins.items():
                start = f"{STAGES}[{index}].options.{option}"
                if key == start or key.startswith((f"{start}.", f"{start}[")):
                    return written
        return key

    def name_sources(self, slices: Sequence[Slice], base: Model | None) -> dict[Model, str]:
        """Locate all sources and return their names: the last part of the path, made unique."""
        models = dict.fromkeys(i.model for piece in slices for i in piece.inputs)
        models |= dict.fromkeys(p.base for p in slices if p.base)
        if base is not None:
            models[base] = None
        names: dict[Model, str] = {}
        for model in models:
            stem = PurePath(model.path).name or model.path
            name, count = stem, 1
            while name in names.values():
                count += 1
                name = f"{stem}-{count}"
            names[model] = name
            self.models[model] = self.locate(name, model.path, model.revision)
        return names

    def value(self, name: str, piece: Slice, item: Input | None, span: _Range, default: Any) -> Any:
        """Return mergekit's setting ``name`` as a value; the first scope with a value wins."""
        scopes = [item.settings] if item is not None else []
        scopes += [piece.settings, self.raw.get("parameters") or {}]
        cases: list[dict[str, Any]] = []
        for scope in scopes:
            if name not in scope:
                continue
            setting = scope[name]
            for case in _conditions(setting):
                value = _over_depth(case["value"], span)
                if case.get("filter") in (None, "*"):
                    return {"by": [*cases, {"value": value}]} if cases else value
                cases.append({"filter": f"has:{case['filter']}", "value": value})
        if default is None and not cases:
            key = item.key if item is not None else piece.key
            self.problem(f"{key}.parameters.{name}", "missing. Give it here or under parameters.")
            return 0.0
        if default is None:
            return {"by": cases}
        return {"by": [*cases, {"value": default}]} if cases else default

    def flag(self, name: str, piece: Slice, default: bool) -> bool:
        """Return a setting that is true or false for the whole model."""
        span = _Range(0, 1, 1)
        value = self.value(name, piece, None, span, default)
        if not isinstance(value, (bool, int, float)):
            self.problem(
                f"parameters.{name}",
                "differs between tensors, which isn't supported. Give one value.",
            )
            return default
        return bool(value)

    # Stages

    def stages(
        self, slices: Sequence[Slice], method: str, names: Mapping[Model, str]
    ) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Return stages, and the layer stack where the slices aren't simply all layers."""
        if len(slices) == 1 and self.is_whole(slices[0]):
            return [self.stage(slices[0], method, names, None)], None
        stages: list[dict[str, Any]] = []
        steps: list[dict[str, Any]] = []
        for piece in slices:
            first = self.reference(piece, method)
            plain = method == "passthrough" and self.scale_of(piece, method) == 1.0
            if plain:
                name = names[first.model]
            else:
                name = f"slice{len(stages) + 1}"
                while name in names.values():
                    name += "_"
                stages.append(self.stage(piece, method, names, name))
            steps += [{"source": name, "layer": layer} for layer in range(first.start, first.stop)]
        outer = {"embedding": steps[0]["source"]}
        outer |= {"norm": steps[-1]["source"], "head": steps[-1]["source"]}
        return stages, {"steps": steps, **outer}

    def is_whole(self, piece: Slice) -> bool:
        return all(
            i.start == 0 and i.stop == self.count_layers(i.model.path, i.model.revision)
            for i in piece.inputs
        )

    def reference(self, piece: Slice, method: str) -> Input:
        """Return the input whose layer numbers are the stage's: the base where there is one."""
        if method in (*BASE_METHODS, "slerp"):
            return next(i for i in piece.inputs if i.model == piece.base)
        return piece.inputs[0]

    def span(self, first: Input) -> _Range:
        n_layers = self.count_layers(first.model.path, first.model.revision)
        return _Range(first.start, first.stop, n_layers)

    def scale_of(self, piece: Slice, method: str) -> Any:
        first = self.reference(piece, method)
        return self.value("scale", piece, first, self.span(first), 1.0)

    def stage(
        self,
        piece: Slice,
        method: str,
        names: Mapping[Model, str],
        name: str | None,
    ) -> dict[str, Any]:
        first = self.reference(piece, method)
        span = self.span(first)
        inputs = list(piece.inputs)
        if method in BASE_METHODS:
            inputs = [i for i in inputs if i.model != piece.base]
        elif method == "slerp":
            inputs.sort(key=lambda i: i.model != piece.base)
        if not inputs:
            self.problem(piece.key, f"{method} has no model beside the base. Add one.")
        stage: dict[str, Any] = {"method": method}
        stage |= {"name": name} if name else {}
        stage["inputs"] = [
            {"source": names[i.model], "shift": i.start - first.start} for i in inputs
        ]
        if method in BASE_METHODS:
            assert piece.base is not None
            stage["base"] = names[piece.base]
        shared = self.raw.get("parameters") or {}
        self.origins.append(setting_keys(piece, inputs, shared))
        return stage | {"options": self.options(piece, method, inputs, span)}

    def options(
        self, piece: Slice, method: str, inputs: Sequence[Input], span: _Range
    ) -> dict[str, Any]:
        """Return the parameters of our method of the same name."""
        if method == "passthrough":
            return {"scale": self.scale_of(piece, method)}
        if method == "slerp":
            return {"t": self.value("t", piece, None, span, None), "norm_mode": "raw"}
        weights = [self.value("weight", piece, i, span, None) for i in inputs]
        if method == "linear":
            return {"weights": weights, "normalize": self.flag("normalize", piece, True)}
        options: dict[str, Any] = {"scale": self.value("lambda", piece, None, span, 1.0)}
        normalize = self.flag("normalize", piece, NORMALIZE.get(method, False))
        if method in NORMALIZE:
            options |= {"normalize": normalize, "zero_sign": "plus"}
        elif normalize:
            weights = self.normalized(weights, piece)
        options["weights"] = weights
        rescale = self.flag("rescale", piece, RESCALE.get(method, False))
        if method in RESCALE:
            options |= {"rescale": "l1" if rescale else "none", "skip_1d": False}
        elif rescale and method == "ties":
            self.problem("parameters.rescale", "isn't supported for ties. Remove it.")
        if method != "task_arithmetic":
            options["densities"] = [self.value("density", piece, i, span, 1.0) for i in inputs]
        return options

    def normalized(self, weights: Sequence[Any], piece: Slice) -> list[Any]:
        """Return weights divided by their sum, as mergekit's normalize does for plain sums."""
        if not all(isinstance(w, (int, float)) for w in weights):
            self.problem(
                "parameters.normalize",
                "with weights that differ between tensors isn't supported for this method. "
                "Divide the weights by their sum and remove it.",
            )
            return list(weights)
        total = sum(weights)
        return [w / total for w in weights] if abs(total) >= 1e-8 else list(weights)

    # The rest

    def check_template(self) -> None:
        template = self.raw.get("chat_template")
        if template in (None, "", "auto"):
            return
        text = str(template)
        self.problem(
            "chat_template",
            f"got {text if len(text) <= 40 else text[:40] + '…'!r}; only auto is supported, which "
            "keeps that of the tokenizer's source. Remove this key and write the template to "
            "chat_template.jinja in the merged folder.",
        )

    def dtype(self) -> str | None:
        key = "out_dtype" if self.raw.get("out_dtype") else "dtype"
        dtype = self.raw.get(key)
        if dtype is not None and dtype not in DTYPES:
            self.problem(key, f"got {dtype!r}; {nearest(str(dtype), DTYPES)}")
            return None
        return dtype

    def tokenizer(self, reader: SliceReader, names: Mapping[Model, str]) -> tuple[str | None, bool]:
        """Return (source of the tokenizer or None for the base's, whether a union is wanted)."""
        block = self.raw.get("tokenizer")
        key, wanted = "tokenizer_source", self.raw.get("tokenizer_source")
        if block is not None:
            key, wanted = "tokenizer.source", "union"
            if not isinstance(block, Mapping):
                self.problem("tokenizer", f"got {block!r}, expected {{source: …}}.")
                return None, False
            for extra in sorted(set(block) - {"source"}):
                if block[extra] is not None:
                    self.problem(
                        f"tokenizer.{extra}", "isn't supported; expected source only. Remove it."
                    )
            wanted = block.get("source", "union")
        if wanted in (None, "base", "union"):
            return None, wanted == "union"
        model = reader.model(wanted, key)
        if model not in names:
            known = nearest(model.path, ["base", "union", *(m.path for m in names)])
            self.problem(key, f"{wanted!r} isn't among the models; {known}")
            return None, False
        return names[model], False


def _conditions(setting: Any) -> list[Mapping[str, Any]]:
    if isinstance(setting, Mapping):
        return [setting]
    if isinstance(setting, list) and setting and isinstance(setting[0], Mapping):
        return setting
    return [{"value": setting}]


def _over_depth(raw: Any, span: _Range) -> Any:
    """Return a scalar, or a list over the slice's layers as a value over the stage's layers."""
    if not isinstance(raw, list):
        return raw
    anchors = [float(value) for value in raw]
    if len(set(anchors)) == 1:
        return anchors[0]
    n = span.stop - span.start
    if span.start == 0 and n == span.n_layers and n > 1:
        inside: dict[str, Any] = {"gradient": anchors}
    else:
        ts = [i / (n - 1) if n > 1 else 1.0 for i in range(n)]
        values = [_interpolate(anchors, t) for t in ts]
        padded = [values[0]] * span.start + values
        padded += [values[-1]] * (span.n_layers - span.stop)
        inside = {"block": 1, "values": padded}
    if anchors[0] == anchors[-1] and "gradient" in inside:
        return inside
    # mergekit leaves t at 0 for what stands after the layers too.
    return {"by": [{"filter": OUTSIDE_LAYERS, "value": anchors[0]}, {"value": inside}]}


def _interpolate(anchors: Sequence[float], t: float) -> float:
    scaled = t * (len(anchors) - 1)
    left = int(scaled)
    right = min(len(anchors) - 1, left + 1)
    fraction = scaled - left
    return (1 - fraction) * anchors[left] + fraction * anchors[right]
