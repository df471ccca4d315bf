"""Count how often searchers find a planted route, and after how many candidates.

Run: OMP_NUM_THREADS=1 python benchmarks/route_search.py [--real] [--factor 1] [--scales hop]

A network's layers are dealt out to two models of four layers: first and last stay where they are,
the others are shuffled, one of them twice, and one writes ``--factor`` times as much as it should.
A route with two scales gives the network back; with the factor 1 no scales are searched. A
candidate's score is the mean log-likelihood of what the network itself would say. The stand-in
is a random residual network in numpy, another one for each seed; ``--real`` trains one small Llama,
deals it out anew for each seed, and routes through it as a run does.

A search has found the route, or an equal one, when its score falls short of the network's own by
no more than a quarter of what the planted order with all scales 1 falls short, and never by more
than 0.02 nats. A score falls off with about the square of a scale's error in logarithm, so a
quarter of the shortfall means a factor that is off by no more than its own square root: 1.22 where
1.5 was planted. No continuous scale is met exactly, and some hardly count, so 0.005 nats are always
allowed; that is 1 % of what the better source falls short on the stand-in, and 0.2 % on the Llama.

``path_evolution`` and ``random`` search paths of up to ``MAX_STEPS`` steps with a scale a step.
``cma_es``, ``catcma`` and ``random`` again search Sakana's space with as many repetitions as the
planted route needs, and blocks, as many as it needs; both with scales as ``--scales`` says. All
begin with the two models' own routes, where the space has them.
"""

import argparse
import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evomerge.merging.routing import Router
from evomerge.models.demo_tasks import LENGTH, Mixture, answer, encode, held_out
from evomerge.models.demo_training import Course, new_model, train
from evomerge.recipes.blocks import NONE, BlockRoutes
from evomerge.recipes.hops import scale_gene
from evomerge.recipes.paths import PATH, PathSpace
from evomerge.recipes.recipe import Dataflow, Step
from evomerge.recipes.routes import RouteSpec, own_starts
from evomerge.recipes.sakana import SakanaRoutes
from evomerge.recipes.space import SearchSpace
from evomerge.search.protocol import Evaluation, Start, build_searcher

Array = NDArray[np.float64]
N_LAYERS = 7
DEPTH = 4
MAX_STEPS = 10
CLOSE_SHARE, CLOSE_LEAST, CLOSE_MOST = 0.25, 0.005, 0.02
"""What is close enough: a share of the order's own shortfall, and its limits in nats."""
GAIN = 0.5
"""How much a stand-in's layer writes, where the hidden state has about 1 at first."""
COURSE = Course(Mixture((1 / 3, 1 / 3, 1 / 3)), steps=400, rate=3e-3)
SCALES = (0.5, 2.0)
ANSWER = LENGTH + 2
"""Token from which on a question's answer is told: after <bos>, task and string comes "="."""


@dataclass(frozen=True)
class Deal:
    """How a network's layers are dealt out.

    Args:
        layers: Source → the network's layer in each of its slots.
        scaled: The network's layer that writes too much.
        factor: How much it writes, where 1 is right.
    """

    layers: Mapping[str, tuple[int, ...]]
    scaled: int
    factor: float

    @property
    def order(self) -> list[tuple[str, int]]:
        """All slots as (source, slot), the first model's first."""
        return [(name, slot) for name, found in self.layers.items() for slot in range(len(found))]

    @property
    def planted(self) -> list[Step]:
        """The planted route, its scales included."""
        slots = {self.layers[name][slot]: (name, slot) for name, slot in reversed(self.order)}
        scales = {self.scaled: self.factor, self.scaled + 1: 1 / self.factor}
        return [Step(*slots[layer], scales.get(layer, 1.0)) for layer in range(N_LAYERS)]

    def repeats(self) -> int:
        """Return how often Sakana's space must lay all slots out to hold the planted route."""
        held = [layer for found in self.layers.values() for layer in found]
        for repeats in itertools.count(1):
            rest = iter(held * repeats)
            if all(layer in rest for layer in range(1, N_LAYERS - 1)):
                return repeats
        raise AssertionError


def deal(seed: int, factor: float) -> Deal:
    """Return a shuffled deal of ``N_LAYERS`` layers to two models of ``DEPTH`` layers."""
    rng = np.random.default_rng(seed)
    inner = list(range(1, N_LAYERS - 1))
    inner += [int(rng.choice(inner)) for _ in range(2 * DEPTH - N_LAYERS)]
    mixed = [int(layer) for layer in rng.permutation(inner)]
    first = (0, *mixed[: DEPTH - 2], N_LAYERS - 1)
    return Deal({"a": first, "b": tuple(mixed[DEPTH - 2 :])}, int(rng.choice(inner)), factor)


def close_enough(problem: "Network", dealt: Deal) -> float:
    """Return by how many nats a found route's score may fall short of the network's own."""
    order = [replace(step, scale=1.0) for step in dealt.planted]
    share = CLOSE_SHARE * (problem.best - problem.score(order))
    return min(max(share, CLOSE_LEAST), CLOSE_MOST)


class Network(Protocol):
    """What a search routes through.

    ``best`` is the whole network's own score.
    """

    best: float

    def score(self, steps: Sequence[Step]) -> float:
        """Return the mean log-likelihood of what the network says, in nats."""


class StandIn:
    """A random residual network with a norm before each layer, and what it says of random inputs.

    Args:
        dealt: How its layers are dealt out.
        seed: Of weights and inputs.
    """

    def __init__(self, dealt: Deal, seed: int) -> None:
        rng = np.random.default_rng((seed, 1))
        width, hidden, classes = 24, 48, 12
        self._dealt = dealt
        self._read = rng.standard_normal((N_LAYERS, width, hidden)) / np.sqrt(width)
        self._write = GAIN * rng.standard_normal((N_LAYERS, hidden, width)) / np.sqrt(hidden)
        self._head = 3 * rng.standard_normal((width, classes)) / np.sqrt(width)
        self._inputs = rng.standard_normal((200, width))
        original = self._logits([(layer, 1.0, 1.0) for layer in range(N_LAYERS)])
        self._wanted = original.argmax(axis=1)
        self.best = self._score(original)

    def score(self, steps: Sequence[Step]) -> float:
        """Return the mean log-likelihood of what the network says, in nats."""
        taken = [(self._dealt.layers[step.source][step.layer], step.scale) for step in steps]
        scaled, factor = self._dealt.scaled, self._dealt.factor
        return self._score(
            self._logits([(n, scale, factor if n == scaled else 1.0) for n, scale in taken])
        )

    def _logits(self, layers: Sequence[tuple[int, float, float]]) -> Array:
        h = self._inputs
        for layer, scale, write in layers:
            x = scale * h
            h = x + write * np.tanh(_normed(x) @ self._read[layer]) @ self._write[layer]
        logits: Array = _normed(h) @ self._head
        return logits

    def _score(self, logits: Array) -> float:
        shifted = logits - logits.max(axis=1, keepdims=True)
        chosen = shifted[np.arange(len(logits)), self._wanted]
        return float((chosen - np.log(np.exp(shifted).sum(axis=1))).mean())


def _normed(x: Array) -> Array:
    normed: Array = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-6)
    return normed


class TrainedLlama:
    """A small Llama trained on the demo's three tasks, cut into two as ``dealt`` says.

    Args:
        dealt: How its layers are dealt out.
        seed: Of the questions.
    """

    def __init__(self, dealt: Deal, seed: int) -> None:
        model = _trained()
        texts = held_out(20, np.random.default_rng((seed, 2)))
        rows = [encode(task, text, answer(task, text)) for task in texts for text in texts[task]]
        self._tokens = torch.tensor(rows)
        with torch.no_grad():
            first = self._logits(model)
            self._wanted = first.argmax(dim=-1)
            self.best = self._score(first)
        residents = {name: _cut(model, found, dealt) for name, found in dealt.layers.items()}
        self._router = Router(residents)

    def score(self, steps: Sequence[Step]) -> float:
        """Return the mean log-likelihood of what the trained model says, in nats."""
        with torch.no_grad():
            routed = self._router.build(Dataflow(tuple(steps), "a", "a", "a"))
            return self._score(self._logits(routed))

    def _logits(self, model: Any) -> Tensor:
        logits: Tensor = model(input_ids=self._tokens, use_cache=False).logits[:, ANSWER:-1]
        return logits

    def _score(self, logits: Tensor) -> float:
        said = logits.log_softmax(dim=-1).gather(-1, self._wanted[..., None])
        return float(said.mean())


@cache
def _trained() -> Any:
    """Return a Llama of ``N_LAYERS`` layers, trained."""
    small = new_model(0)
    small.config.num_hidden_layers = N_LAYERS
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = type(small)(small.config)
    rng = np.random.default_rng(0)
    train(model, COURSE, forbidden={}, rng=rng, on_step=lambda done, steps: None)
    return model


def _cut(model: Any, found: Sequence[int], dealt: Deal) -> Any:
    """Return a model of the layers ``found``, one of which may write more than it should."""
    part = copy.deepcopy(model)
    layers = [copy.deepcopy(model.model.layers[layer]) for layer in found]
    for index, (layer, block) in enumerate(zip(found, layers, strict=True)):
        block.self_attn.layer_idx = index
        if layer == dealt.scaled:
            with torch.no_grad():
                block.self_attn.o_proj.weight.mul_(dealt.factor)
                block.mlp.down_proj.weight.mul_(dealt.factor)
    part.model.layers = torch.nn.ModuleList(layers)
    part.config.num_hidden_layers = part.model.config.num_hidden_layers = len(layers)
    return part.eval()


@dataclass(frozen=True)
class Search:
    """A searcher on one of the three spaces.

    Args:
        searcher: Registered name.
        space: ``path``, ``sakana`` or ``blocks``.
        budget: In multiples of ``--budget``.
    """

    searcher: str
    space: str
    budget: int = 1


SEARCHES = (
    Search("path_evolution", "path"),
    Search("random", "path", 4),
    Search("catcma", "sakana"),
    Search("cma_es", "sakana"),
    Search("random", "sakana", 4),
    Search("catcma", "blocks"),
    Search("cma_es", "blocks"),
    Search("random", "blocks", 4),
)


@dataclass(frozen=True)
class Outcome:
    """What a search came to: candidates until found (None: not), and the best score's distance."""

    found_after: int | None
    gap: float


Setting = tuple[SearchSpace, list[Start], Callable[[Array], list[Step]]]
"""A space, its starts, and what reads a route from an encoding."""


def path_space(dealt: Deal) -> Setting:
    """Return the space of paths."""
    scale = None if dealt.factor == 1 else scale_gene("scale", *SCALES)
    space = PathSpace(dealt.order, MAX_STEPS, scale=scale)
    starts = [
        Start(name, space.encode({PATH: [[name, slot, 1.0] for slot in range(len(found))]}))
        for name, found in dealt.layers.items()
    ]
    return space, starts, lambda x: [Step(*step) for step in space.decode(x)[PATH]]


def cube_space(dealt: Deal, name: Literal["sakana", "blocks"], scales: str) -> Setting:
    """Return Sakana's space, or that of blocks, just large enough for the planted route."""
    spec = RouteSpec(
        name,
        tuple((source, len(found)) for source, found in dealt.layers.items()),
        MAX_STEPS,
        repeats=dealt.repeats(),
        blocks=N_LAYERS,
        scales="none" if dealt.factor == 1 else cast(Any, scales),
        scale_range=SCALES,
    )
    routes = SakanaRoutes(spec) if name == "sakana" else BlockRoutes(spec)
    if name == "blocks" and scales == "hop":
        cuts = routes.genome_of(dealt.planted)
        used = sum(cuts[f"dataflow.block.{index}.source"] != NONE for index in range(N_LAYERS))
        routes = BlockRoutes(replace(spec, blocks=used))
    space = SearchSpace(routes.genes, activity=routes.activity)
    starts = [Start(label, space.encode(genome)) for label, genome in own_starts(routes)]
    return space, starts, lambda x: list(routes.steps(space.decode(x)))


def setting(search: Search, dealt: Deal, scales: str) -> Setting:
    """Return what ``search`` goes through."""
    if search.space == "path":
        return path_space(dealt)
    return cube_space(dealt, "sakana" if search.space == "sakana" else "blocks", scales)


def run(search: Search, problem: Network, dealt: Deal, seed: int, options: Any) -> Outcome:
    """Search until the route is found or the budget is spent."""
    space, starts, steps = setting(search, dealt, options.scales)
    searcher = build_searcher(search.searcher, space, seed=seed, starts=starts)
    close = close_enough(problem, dealt)
    best, done = -np.inf, 0
    while done < search.budget * options.budget:
        results = []
        for proposal in searcher.ask():
            score = problem.score(steps(proposal.genome))
            results.append(Evaluation(proposal.id, (score,)))
            best, done = max(best, score), done + 1
            if problem.best - best <= close:
                return Outcome(done, problem.best - best)
            if done == search.budget * options.budget:
                break
        else:
            searcher.tell(results)
    return Outcome(None, problem.best - best)


def row(search: Search, outcomes: Sequence[Outcome], kind: str, budget: int) -> str:
    """Return a line of the table of results."""
    found = sorted(o.found_after for o in outcomes if o.found_after is not None)
    after = "-" if not found else f"{found[0]} to {found[-1]}, median {int(np.median(found))}"
    gap = f"{np.mean([o.gap for o in outcomes]):.3f}"
    cells = [kind, search.searcher, search.space, f"{search.budget * budget:,}"]
    return f"| {' | '.join([*cells, f'{len(found)} of {len(outcomes)}', after, gap])} |"


def main() -> None:
    """Run the searches and print a row of results for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", action="store_true", help="route through trained Llamas")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--budget", type=int, default=500)
    parser.add_argument("--factor", type=float, default=1.5, help="what one layer writes")
    parser.add_argument("--scales", default="hop", choices=["none", "hop", "table", "network"])
    parser.add_argument("--only", default="", help="part of a searcher's name and space")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for search in SEARCHES:
        if options.only not in f"{search.searcher} {search.space}":
            continue
        outcomes = []
        for seed in range(options.first, options.first + options.seeds):
            dealt = deal(seed, options.factor)
            network = TrainedLlama(dealt, seed) if options.real else StandIn(dealt, seed)
            outcomes.append(run(search, network, dealt, seed, options))
            print(search, seed, outcomes[-1], flush=True)
        kind = "trained Llama" if options.real else "stand-in"
        kind += "" if options.factor == 1 else f", scaled by {options.factor:g}"
        kind += "" if options.scales == "hop" else f", scales {options.scales}"
        print(row(search, outcomes, kind, options.budget), flush=True)


if __name__ == "__main__":
    main()
