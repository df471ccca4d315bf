"""The registry of merge methods and the decorator that fills it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.recipes.declarations import Declaration, Parameter, Registry, WarmStart


@dataclass(frozen=True)
class MergeMethod:
    """A registered method.

    Args:
        function: Merges one parameter (or a chunk of it); keyword arguments are the declared
            parameters.
        needs: Statistics of the sources that it wants as ``stats``.
        chunked: It may be called on any chunk of a tensor; otherwise it gets whole tensors.
    """

    function: Callable[..., Any]
    needs: tuple[str, ...] = ()
    chunked: bool = True

    @property
    def __module__(self) -> str:  # type: ignore[override]
        """Module of the function; the registry uses it to tell two plug-ins apart."""
        return self.function.__module__


METHODS: Registry[MergeMethod] = Registry(
    kind="method", package="evomerge.merging.methods", entry_point="evomerge.methods"
)


def merge_method(
    name: str,
    *,
    parameters: Sequence[Parameter] = (),
    paper: str = "",
    needs_base: bool = False,
    min_inputs: int = 1,
    max_inputs: int | None = None,
    needs: Sequence[str] = (),
    chunked: bool = True,
    warm_starts: Callable[[Sequence[str]], Sequence[WarmStart]] = lambda inputs: (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the method ``name``; its docstring's first line is the summary."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        summary = (function.__doc__ or "").strip().splitlines()[0]
        declaration = Declaration(
            name,
            summary,
            tuple(parameters),
            paper,
            needs_base=needs_base,
            min_inputs=min_inputs,
            max_inputs=max_inputs,
            warm_starts=warm_starts,
        )
        METHODS.add(declaration, MergeMethod(function, tuple(needs), chunked))
        return function

    return register
