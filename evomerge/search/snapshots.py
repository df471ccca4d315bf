"""Writes a searcher's state down as plain data and arrays, and puts it into a fresh searcher.

A snapshot only makes a resume quick: replaying the ledger gives the same state. It holds numbers,
text, containers and the attributes of objects whose classes stand in ``PACKAGES``; no code is
stored or run. What can't be stored so (functions, generators, the space) is taken from a freshly
built searcher, at the same place.
"""

import importlib
import types
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import SearchError

PACKAGES = ("cma", "cmaes", "evomerge.search", "ribs")
"""Packages whose objects a snapshot may hold."""
_CONTAINERS = {"list": list, "tuple": tuple, "dict": dict, "set": set, "deque": deque}


@dataclass(frozen=True)
class Snapshot:
    """A searcher's state.

    Args:
        plain: What JSON can hold.
        arrays: Name → array, referred to in ``plain``.
    """

    plain: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


def take_snapshot(owner: object, names: Iterable[str]) -> Snapshot:
    """Return the attributes ``names`` of ``owner``; changing ``owner`` later changes nothing.

    Raises:
        SearchError: One of them holds what can't be stored.
    """
    writer = _Writer()
    plain = {name: writer.write(getattr(owner, name)) for name in names}
    return Snapshot(plain, writer.arrays)


def put_back(owner: object, snapshot: Snapshot) -> list[Any]:
    """Give ``owner``, freshly built, the attributes of ``snapshot``; return the objects made.

    Raises:
        SearchError: The snapshot is of another kind of searcher, or damaged; ``owner`` stays as it
            was.
    """
    reader = _Reader(snapshot.arrays)
    try:
        found = {
            name: reader.read(value, getattr(owner, name)) for name, value in snapshot.plain.items()
        }
    except (AttributeError, ImportError, KeyError, IndexError, TypeError, ValueError) as error:
        raise SearchError(
            f"the searcher's snapshot can't be used ({type(error).__name__}: {error}). Delete it; "
            "the run's ledger holds all that it held."
        ) from error
    for name, value in found.items():
        setattr(owner, name, value)
    return reader.made


@dataclass
class _Writer:
    """Turns objects into plain data; what is met again is written as a reference."""

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    _known: dict[int, int] = field(default_factory=dict)
    _alive: list[Any] = field(default_factory=list)

    def write(self, value: Any) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) is range:
            return {"range": [value.start, value.stop, value.step]}
        if isinstance(value, np.generic):
            return {"scalar": value.item(), "dtype": value.dtype.str}
        if id(value) in self._known:
            return {"again": self._known[id(value)]}
        number = self._known[id(value)] = len(self._known)
        self._alive.append(value)  # an id is only an object's own while it lives
        if type(value) is np.ndarray and value.dtype != object:
            self.arrays[f"a{number}"] = value.copy(order="K")
            return {"array": f"a{number}", "number": number}
        for name, kind in _CONTAINERS.items():
            if type(value) is kind:
                return {name: self._items(value), "number": number}
        if isinstance(value, types.MethodType):
            owner = self.write(value.__self__)
            return {"method": value.__name__, "of": owner, "number": number}
        return self._object(value, number)

    def _items(self, value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [[self.write(key), self.write(item)] for key, item in value.items()]
        return [self.write(item) for item in (sorted(value) if isinstance(value, set) else value)]

    def _object(self, value: Any, number: int) -> Any:
        cls = type(value)
        ours = any(cls.__module__ == p or cls.__module__.startswith(f"{p}.") for p in PACKAGES)
        if not ours or not hasattr(value, "__dict__"):
            return {"built": number}
        plain = {
            "object": f"{cls.__module__}:{cls.__qualname__}",
            "number": number,
            "attributes": [[name, self.write(item)] for name, item in vars(value).items()],
        }
        if isinstance(value, (dict, list)):
            plain["items"] = self._items(value)
        return plain


class _Reader:
    """Turns plain data into objects again."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays
        self._known: dict[int, Any] = {}
        self.made: list[Any] = []

    def read(self, plain: Any, built: Any) -> Any:
        """Return the object; ``built`` stands at its place in the fresh searcher."""
        if not isinstance(plain, dict):
            return plain
        if "built" in plain:
            if built is None:
                raise ValueError("a part that isn't stored has no counterpart")
            self._known[plain["built"]] = built
            return built
        if "again" in plain:
            return self._known[plain["again"]]
        if "method" in plain:
            return getattr(
                self.read(plain["of"], getattr(built, "__self__", None)), plain["method"]
            )
        if "range" in plain:
            return range(*plain["range"])
        if "scalar" in plain:
            return np.dtype(plain["dtype"]).type(plain["scalar"])
        if "array" in plain:
            self._known[plain["number"]] = self._arrays[plain["array"]].copy(order="K")
            return self._known[plain["number"]]
        if "object" in plain:
            return self._object(plain, built)
        name = next(name for name in _CONTAINERS if name in plain)
        return self._container(name, plain, built)

    def _container(self, name: str, plain: Mapping[str, Any], built: Any) -> Any:
        made: Any = {} if name == "dict" else []
        if name in ("dict", "list"):
            self._known[plain["number"]] = made
        self._fill(made, plain[name], built)
        if name not in ("dict", "list"):
            made = self._known[plain["number"]] = _CONTAINERS[name](made)
        return made

    def _fill(self, made: Any, items: list[Any], built: Any) -> None:
        if isinstance(made, dict):
            twin = built if isinstance(built, dict) else {}
            for key, item in items:
                name = self.read(key, None)
                dict.__setitem__(made, name, self.read(item, dict.get(twin, name)))
            return
        twins = list(built) if isinstance(built, (list, tuple)) else []
        for index, item in enumerate(items):
            made.append(self.read(item, twins[index] if index < len(twins) else None))

    def _object(self, plain: Mapping[str, Any], built: Any) -> Any:
        module, _, name = plain["object"].partition(":")
        if not any(module == p or module.startswith(f"{p}.") for p in PACKAGES):
            raise ValueError(f"{module} isn't a package that a snapshot may hold")
        cls: Any = importlib.import_module(module)
        for part in name.split("."):
            cls = getattr(cls, part)
        made = cls.__new__(cls)
        self.made.append(made)
        self._known[plain["number"]] = made
        twin = vars(built) if type(built) is cls else {}
        for attribute, item in plain["attributes"]:
            vars(made)[attribute] = self.read(item, twin.get(attribute))
        if "items" in plain:
            self._fill(made, plain["items"], built)
        return made
