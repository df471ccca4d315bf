"""From a run file that evolves networks from scratch to everything such a run needs."""

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from evomerge.config.run import NetworkConfig, RunConfig
from evomerge.errors import EvomergeError, Problem
from evomerge.evaluation.protocol import Evaluator, needs_network
from evomerge.execution.network_worker import NetworkSpec
from evomerge.merging.network_registry import NETWORKS
from evomerge.recipes.lineage import NETWORK, LineageSpace
from evomerge.recipes.recipe import Source
from evomerge.runs.networks import no_recipes
from evomerge.runs.objectives import RECIPE_NUMBERS
from evomerge.runs.setup.evaluators import evaluator_specs


def network_space(config: RunConfig, problems: list[Problem]) -> LineageSpace | None:
    """Return the space of a run's networks; None where they can't be built."""
    given = config.network
    assert given is not None
    options = dict(given.model_extra or {})
    try:
        plugin = NETWORKS.get(given.type)
    except EvomergeError as error:
        problems.append(Problem("network.type", str(error)))
        return None
    if wrong := plugin.declaration.check_options(options, "network"):
        problems += wrong
        return None
    try:
        module = plugin.value(**plugin.declaration.fill(options))
    except EvomergeError as error:
        problems.append(Problem("network", str(error)))
        return None
    return LineageSpace(
        Source(NETWORK, f"{NETWORK}:{given.type}", _fingerprint(given, module)),
        sum(parameter.numel() for parameter in module.parameters()),
        founders=given.founders,
        std=given.founder_std,
        mutation=given.mutation_std,
        seed=config.search.seed,
    )


def network_spec(
    config: RunConfig, plugins: Sequence[Path], evaluators: Mapping[str, Evaluator]
) -> NetworkSpec:
    """Return what a worker of the run is built from, but for where its weights and ledger are."""
    assert config.network is not None
    return NetworkSpec(
        network=config.network.type,
        options=dict(config.network.model_extra or {}),
        evaluators=evaluator_specs(config),
        recipe_of=no_recipes,
        device=config.execution.device,
        threads=config.execution.threads,
        plugins=tuple(Path(path).absolute() for path in plugins),
        built=evaluators,
    )


def check_evaluators(
    config: RunConfig, evaluators: Mapping[str, Evaluator], problems: list[Problem]
) -> None:
    """Check that each evaluator scores what the run makes: language models, or networks."""
    if config.network is not None:
        _check_numbers(config, problems)
    for name, item in evaluators.items():
        if needs_network(item) == (config.network is not None):
            continue
        kind = config.evaluators[name].type
        message = f"{kind} scores language models, and this run evolves networks. Take another."
        if config.network is None:
            message = f"{kind} scores networks evolved from scratch. Add network: to the run file."
        problems.append(Problem(f"evaluators.{name}.type", message))


def _check_numbers(config: RunConfig, problems: list[Problem]) -> None:
    """Refuse numbers of a merged model's recipe: all networks of a run have one size."""
    for name, item in config.objectives.items():
        for index, entry in enumerate(item.sources):
            if entry in RECIPE_NUMBERS and entry not in config.evaluators:
                message = f"{entry} is the same for all networks of a run. Remove it."
                problems.append(Problem(f"objectives.{name}.from[{index}]", message))
    for index, text in enumerate(config.constraints):
        if text.split()[:1] and text.split()[0] in {*RECIPE_NUMBERS} - {*config.evaluators}:
            message = f"{text.split()[0]} is the same for all networks of a run. Remove it."
            problems.append(Problem(f"constraints[{index}]", message))


def _fingerprint(given: NetworkConfig, module: nn.Module) -> str:
    """Hash of all that decides what a vector of weights means: the code's shapes and settings."""
    shapes = [[name, list(item.shape)] for name, item in module.named_parameters()]
    code = inspect.getsource(NETWORKS.get(given.type).value)
    form = json.dumps([given.type, given.model_extra or {}, shapes, code], sort_keys=True)
    return hashlib.sha256(form.encode()).hexdigest()
