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
            parameters. Tensors come in float32 or float64 and are not to be written to.
        needs: What it reads from the ``stats`` argument (``evomerge.merging.statistics.Stats``):
            ``gram``, ``thresholds``, ``masks``, ``draws``, ``layer``. Empty: it has no such
            argument.
        chunked: It may be called on any chunk of a tensor; otherwise it gets whole tensors.
        ordered: The inputs' order has a meaning; otherwise they come sorted by content.
        drops_zero: An input with weight 0, or equal to the base, may be left out unread.
        coefficients: For methods that are a linear combination: ``stats`` and the parameters →
            coefficients of the base (if there is one) and of each input, in order. The engine then
            adds up on its own fast path and doesn't call ``function``.
        flattened: Its parameter ``segments`` has coefficients by flat index of the whole model. The
            engine cuts each tensor's part out of it (``recipes.segments.Runs``), which the method
            gets as its option, and adds up run by run without calling ``function``.
        fused: Does what ``function`` does for whole tensors of sources with the compiled loops, bit
            for bit: (out, base, tensors, the parameters, stats) → whether it did and the result is
            finite. Called only where those loops are there and take the tensors.
    """

    function: Callable[..., Any]
    needs: tuple[str, ...] = ()
    chunked: bool = True
    ordered: bool = False
    drops_zero: bool = False
    coefficients: Callable[..., Sequence[float]] | None = None
    flattened: bool = False
    fused: Callable[..., bool] | None = None

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
    ordered: bool = False,
    drops_zero: bool = False,
    coefficients: Callable[..., Sequence[float]] | None = None,
    flattened: bool = False,
    fused: Callable[..., bool] | None = None,
    warm_starts: Callable[[Sequence[str]], Sequence[WarmStart]] = lambda inputs: (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as the method ``name``.

    The first line of its docstring is the method's summary.

    The arguments are those of ``Declaration`` and ``MergeMethod``.
    """

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
        method = MergeMethod(
            function, tuple(needs), chunked, ordered, drops_zero, coefficients, flattened, fused
        )
        METHODS.add(declaration, method)
        return function

    return register
