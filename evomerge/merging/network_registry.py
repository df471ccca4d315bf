"""The registry of networks that can be evolved from scratch, and the decorator that fills it."""

from collections.abc import Callable, Sequence

from torch import nn

from evomerge.recipes.declarations import Declaration, Parameter, Registry

NETWORKS: Registry[Callable[..., nn.Module]] = Registry(
    kind="network", package="evomerge.merging.networks", entry_point="evomerge.networks"
)


def network(
    name: str, *, parameters: Sequence[Parameter] = (), paper: str = ""
) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Register the decorated function as the network ``name``.

    It takes the declared parameters and returns a module, whose parameters are the network's in
    their order; what they hold doesn't matter. The first line of its docstring is the summary.
    """

    def register(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        summary = (build.__doc__ or "").strip().splitlines()[0]
        NETWORKS.add(Declaration(name, summary, tuple(parameters), paper), build)
        return build

    return register
