"""What a plug-in declares about itself, and the registries of methods, evaluators and searchers.

A declaration is written once, beside the code it describes; run files, search spaces, ``evomerge
list`` and the docs all read it. Nothing here imports torch.
"""

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Generic, Literal, TypeVar

from evomerge.errors import PluginError, Problem, nearest

Scalar = float | int | bool | str
Kind = Literal["float", "int", "bool", "str", "list", "mapping", "segments"]
T = TypeVar("T")


@dataclass(frozen=True)
class Parameter:
    """One setting of a method, evaluator or searcher.

    Args:
        name: Keyword of the function that takes it, and key in the run file.
        kind: Type of one value.
        help: One line for people.
        default: Value where the user gives none; with ``required`` it is ignored.
        required: The user must give it.
        low, high: Allowed range, both ends included; None is open.
        search_low, search_high: Range that a gene gets when the user says only ``search: {}``.
        scale: How a gene is spread over the unit interval.
        step: Genes live on multiples of this, 0 for none (densities: 1/1000).
        choices: Allowed values of a ``str``.
        per_source: One value for each input of a stage (weights, densities).
        searchable: May be a gene; only methods' parameters are.
        whole_model: One value for the whole model, never by group (normalize, zero_sign).
    """

    name: str
    kind: Kind
    help: str
    default: Any = None
    required: bool = False
    low: float | None = None
    high: float | None = None
    search_low: float | None = None
    search_high: float | None = None
    scale: Literal["linear", "log"] = "linear"
    step: float = 0.0
    choices: tuple[str, ...] = ()
    per_source: bool = False
    searchable: bool = False
    whole_model: bool = False

    def check(self, value: Any) -> str | None:
        """Return what is wrong with one ``value``, or None."""
        if value is None and not self.required and self.default is None:
            return None
        if self.kind == "float" and (
            isinstance(value, bool) or not isinstance(value, (int, float))
        ):
            return f"got {value!r}, expected a number."
        if self.kind == "int" and (isinstance(value, bool) or not isinstance(value, int)):
            return f"got {value!r}, expected a whole number."
        if self.kind == "bool" and not isinstance(value, bool):
            return f"got {value!r}, expected true or false."
        if self.kind == "str" and not isinstance(value, str):
            return f"got {value!r}, expected a text."
        if self.kind == "list" and not isinstance(value, (list, tuple)):
            return f"got {value!r}, expected a list."
        if self.kind == "mapping" and not isinstance(value, Mapping):
            return f"got {value!r}, expected a mapping."
        if self.kind == "segments" and not isinstance(value, (list, tuple, Mapping)):
            return f"got {value!r}, expected a list of segments."
        if self.choices and value not in self.choices:
            return f"got {value!r}; {nearest(str(value), self.choices)}"
        if self.kind in ("float", "int"):
            if not abs(float(value)) < float("inf"):
                return f"got {value!r}, expected a finite number."
            if self.low is not None and value < self.low:
                return f"got {value}, expected at least {self.low:g}."
            if self.high is not None and value > self.high:
                return f"got {value}, expected at most {self.high:g}."
        return None


@dataclass(frozen=True)
class WarmStart:
    """A known-good setting of a method that a search tries first.

    Args:
        label: ``base``, ``parent:NAME``, ``uniform`` or ``default``; the stage's input names fill
            NAME.
        parameters: Parameter → scalar, or one scalar an input for ``per_source`` parameters.
    """

    label: str
    parameters: Mapping[str, Scalar | Sequence[Scalar]]


@dataclass(frozen=True)
class Declaration:
    """All that is known of a plug-in without running it.

    Args:
        name: Name in run files.
        summary: First line of its docstring.
        parameters: Its settings, in the order in which they are listed.
        paper: arXiv id or another source; empty where there is none.
        needs_base: (method) works only with a base model.
        min_inputs, max_inputs: (method) how many inputs a stage may have; the base isn't counted.
        warm_starts: (method) input names → known-good settings.
        multi_objective: (searcher) can optimise several objectives.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    paper: str = ""
    needs_base: bool = False
    min_inputs: int = 1
    max_inputs: int | None = None
    warm_starts: Callable[[Sequence[str]], Sequence[WarmStart]] = field(
        default=lambda inputs: (), compare=False, repr=False
    )
    multi_objective: bool = False

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter called ``name``, or None."""
        return next((p for p in self.parameters if p.name == name), None)

    def check_options(self, options: Mapping[str, Any], key: str) -> list[Problem]:
        """Return all that is wrong with plain ``options`` (no genes) found under ``key``."""
        problems = []
        for name, value in options.items():
            parameter = self.parameter(name)
            if parameter is None:
                known = nearest(name, [p.name for p in self.parameters])
                problems.append(
                    Problem(f"{key}.{name}", f"{self.name} has no such setting; {known}")
                )
            elif message := parameter.check(value):
                problems.append(Problem(f"{key}.{name}", message))
        for parameter in self.parameters:
            if parameter.required and parameter.name not in options:
                problems.append(
                    Problem(
                        f"{key}.{parameter.name}",
                        f"missing; {self.name} needs it: {parameter.help}",
                    )
                )
        return problems

    def fill(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``options`` with defaults filled in, in declared order."""
        return {p.name: options.get(p.name, p.default) for p in self.parameters}


@dataclass(frozen=True)
class Plugin(Generic[T]):
    """A registered object with its declaration and the file that it came from."""

    declaration: Declaration
    value: T


class Registry(Generic[T]):
    """Plug-ins of one kind, loaded on first use.

    Built-in modules are found by walking a package, others by entry points.

    Args:
        kind: ``method``, ``evaluator`` or ``searcher``; used in messages.
        package: Package whose modules are imported to fill the registry.
        entry_point: Entry-point group through which other packages join.
    """

    def __init__(self, *, kind: str, package: str, entry_point: str) -> None:
        self.kind = kind
        self._package = package
        self._entry_point = entry_point
        self._plugins: dict[str, Plugin[T]] = {}
        self._loaded = False

    def add(self, declaration: Declaration, value: T) -> None:
        """Register ``value``; the same name from two modules is a PluginError."""
        known = self._plugins.get(declaration.name)
        new_module = getattr(value, "__module__", "")
        if known is not None and getattr(known.value, "__module__", "") != new_module:
            raise PluginError(
                f"the {self.kind} name {declaration.name!r} is taken by "
                f"{getattr(known.value, '__module__', 'another module')}. "
                f"Rename the one in {new_module}."
            )
        self._plugins[declaration.name] = Plugin(declaration, value)

    def get(self, name: str) -> Plugin[T]:
        """Return the plug-in ``name``; an unknown one is a PluginError with the nearest."""
        self._load()
        try:
            return self._plugins[name]
        except KeyError:
            raise PluginError(
                f"no {self.kind} is called {name!r}; {nearest(name, self._plugins)}"
            ) from None

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self._load()
        return sorted(self._plugins)

    def declarations(self) -> dict[str, Declaration]:
        """Return name → declaration, sorted by name."""
        return {name: self._plugins[name].declaration for name in self.names()}

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__, f"{self._package}."):
            importlib.import_module(module.name)
        for point in importlib.metadata.entry_points(group=self._entry_point):
            point.load()


class _SourceOnly(SourceFileLoader):
    """Compiles a file each time; stored bytecode can't tell two files of one second and size."""

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def load_plugin_file(path: Path) -> None:
    """Import a plug-in by path; its decorators register what it defines.

    Raises:
        PluginError: The file is missing or its import fails.
    """
    if not path.is_file():
        raise PluginError(f"plug-in file {path} does not exist. Give the path of a Python file.")
    name = f"evomerge_plugin_{path.stem}"
    loader = _SourceOnly(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(
            f"plug-in {path} can't be imported: {type(error).__name__}: {error}"
        ) from error
