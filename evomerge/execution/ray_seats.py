"""Room for workers on a Ray cluster: what one takes, and the actors that have been given it."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import ExecutionError
from evomerge.execution.ray_host import Greeting, Host, HostSettings

_GIB = 2**30


@dataclass
class Seat:
    """An actor, which outlives the worker processes that it keeps one after the other.

    Args:
        actor: Ray's handle.
        reservation: Its placement group, if it has one.
        greeting: Where it is, once it has found room.
    """

    actor: Any
    reservation: Any = None
    greeting: Greeting | None = None

    def release(self) -> None:
        """End the actor, its worker process with it, and give its room back."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError, ConnectionError, ValueError):
            ray.kill(self.actor, no_restart=True)
            if self.reservation is not None:
                ray.util.remove_placement_group(self.reservation)

    def forget(self) -> None:
        """Drop Ray's handles, which must not outlive the connection.

        Ray counts actors anew in each connection, and a late handle's end would be taken for that
        of the new actor of the same number.
        """
        self.actor = self.reservation = None


@dataclass(frozen=True)
class Seats:
    """Asks a cluster for actors.

    Args:
        demand: What a worker takes, by Ray's names.
        runtime_env: Ray's description of the workers' environment; empty for none.
        settings: Ray's reference to the HostSettings.
    """

    demand: Mapping[str, float]
    runtime_env: Mapping[str, Any]
    settings: Any

    def ask(self, excluded: Sequence[str]) -> Seat:
        """Return an actor that starts as soon as a node that isn't ``excluded`` has room.

        Several GPUs are reserved first as a placement group, so that smaller demands of others
        can't take them one by one.
        """
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        own = {k: v for k, v in self.demand.items() if k not in ("CPU", "GPU", "memory")}
        options: dict[str, Any] = {
            "num_cpus": self.demand.get("CPU", 0.0),
            "num_gpus": self.demand.get("GPU", 0.0),
            "memory": self.demand.get("memory"),
            "resources": own or None,
            "max_restarts": 0,
            "max_task_retries": 0,
        }
        if self.runtime_env:
            options["runtime_env"] = dict(self.runtime_env)
        labels = {"ray.io/node-id": f"!in({','.join(excluded)})"} if excluded else {}
        reservation = None
        if self.demand.get("GPU", 0.0) > 1:
            # One process needs them all, so they must be on one node: one bundle.
            reservation = ray.util.placement_group(
                [dict(self.demand)], bundle_label_selector=[labels] if labels else None
            )
            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(reservation)
        elif labels:
            options["label_selector"] = labels
        actor = ray.remote(Host).options(**options).remote(self.settings)
        return Seat(actor, reservation)


def share(settings: HostSettings) -> Any:
    """Return Ray's reference to ``settings``, which then travel to each node once."""
    import ray

    return ray.put(settings)


def demand_of(
    cpus: float, gpus: float, resources: Mapping[str, float] | None, memory_gb: float | None
) -> dict[str, float]:
    """Return what a worker takes, by Ray's names; zeros are left out.

    Raises:
        ExecutionError: An amount isn't one that Ray can give.
    """
    if gpus > 1 and gpus != int(gpus):
        raise ExecutionError(
            f"got execution.options.gpus {gpus:g}. Give a fraction of one GPU or a whole number."
        )
    demand = {"CPU": cpus, "GPU": gpus, "memory": float(int((memory_gb or 0.0) * _GIB))}
    for name, amount in (resources or {}).items():
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or amount < 0:
            raise ExecutionError(
                f"got {amount!r} of execution.options.resources.{name}, expected a number of at "
                "least 0."
            )
        if name in demand:
            raise ExecutionError(
                f"got {name} under execution.options.resources. Use cpus, gpus or memory_gb."
            )
        demand[name] = float(amount)
    return {name: amount for name, amount in demand.items() if amount}
