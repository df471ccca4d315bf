"""The phases of a run file: their budgets, their spaces, and what is refused before a run."""

from pathlib import Path
from typing import Any

import pytest

from evomerge.config.load import parse_config
from evomerge.errors import ConfigError
from evomerge.runs.setup.prepare import Prepared, prepare
from evomerge.search.protocol import SEARCHERS, Evaluation, needs_examples


@pytest.fixture
def phased(workspace: Path, raw_config: dict[str, Any]) -> dict[str, Any]:
    """A run file that searches coefficients, then routes through the winner and a source."""
    raw_config["recipe"]["parameters"][0]["name"] = "merged"
    raw_config["dataflow"] = {"space": "sakana", "sources": ["left"], "repeats": 1}
    raw_config["search"] = {
        "budget": 10,
        "finalists": 2,
        "phases": [
            {
                "search": "parameters",
                "share": 3,
                "searcher": "random",
                "options": {"population": 4},
            },
            {"search": "dataflow", "share": 2, "searcher": "random", "options": {"population": 4}},
        ],
    }
    return raw_config


def prepared(raw: dict[str, Any]) -> Prepared:
    return prepare(parse_config(raw, where="tiny.yaml"), where="tiny.yaml", plan=False)


def problems(raw: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        prepared(raw)
    return {problem.key: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("budget", "shares", "sizes"),
    [(10, [3, 2], [6, 4]), (7, [1, 1, 1], [2, 3, 2]), (100, [0.6, 0.4], [60, 40])],
)
def test_the_budget_is_divided_by_shares(
    phased: dict[str, Any], budget: int, shares: list[float], sizes: list[int]
) -> None:
    phases = [{"search": "parameters", "share": share} for share in shares]
    phased["search"] |= {"phases": phases, "budget": budget}
    found = prepared(phased)
    assert found.phases is not None
    assert found.phases.budgets(budget) == sizes


def test_routes_go_through_the_winner_with_its_coefficients(phased: dict[str, Any]) -> None:
    found = prepared(phased)
    searcher = found.make_searcher()
    recipes: dict[str, Any] = {}
    utilities: dict[str, float] = {}
    while len(recipes) < 10:
        for proposal in searcher.ask():
            recipes[proposal.id] = found.space.recipe(found.space.decode(proposal.genome))
            utilities[proposal.id] = len(recipes) % 5
            searcher.tell([Evaluation(proposal.id, (utilities[proposal.id],))])
    ids = list(recipes)
    best = max(ids[:6], key=lambda name: utilities[name])
    assert all(recipes[name].dataflow is None for name in ids[:6])
    for name in ids[6:]:
        assert recipes[name].stages == recipes[best].stages
        assert recipes[name].dataflow is not None
    own = recipes[ids[6]].dataflow
    assert [(step.source, step.layer) for step in own.steps] == [("merged", 0), ("merged", 1)]
    assert (own.embedding, own.head) == ("merged", "merged")


def test_a_route_stays_while_parameters_are_searched_again(phased: dict[str, Any]) -> None:
    phased["search"]["phases"] = [
        {"search": "both", "share": 1, "searcher": "random", "options": {"population": 4}},
        {"search": "parameters", "share": 1, "searcher": "random", "options": {"population": 4}},
    ]
    found = prepared(phased)
    searcher = found.make_searcher()
    flows = []
    for number in range(3):
        asked = searcher.ask()
        flows += [found.space.recipe(found.space.decode(p.genome)).dataflow for p in asked]
        searcher.tell([Evaluation(p.id, (float(number == 0),)) for p in asked])
    assert flows[5:] == [flows[0]] * len(flows[5:])


@pytest.mark.parametrize("searches", ["parameters dataflow parameters", "parameters both"])
def test_a_phase_begins_with_the_winner_before_it(phased: dict[str, Any], searches: str) -> None:
    random = {"searcher": "random", "options": {"population": 4}}
    phases = [{"search": search, "share": 1, **random} for search in searches.split()]
    phased["search"] |= {"phases": phases, "budget": 5 * len(phases)}
    phased["dataflow"] |= {"sources": ["merged", "left"], "model": "merged"}
    found = prepared(phased)
    searcher = found.make_searcher()
    recipes = []
    for phase in range(len(phases)):
        for number in range(5):
            proposal = searcher.ask(1)[0]
            recipes.append(found.space.recipe(found.space.decode(proposal.genome)))
            utility = float(number == 4 and phase < 2)
            searcher.tell([Evaluation(proposal.id, (utility,))])
    winner, first = recipes[5 * len(phases) - 6], recipes[5 * len(phases) - 5]
    assert first.stages == winner.stages
    assert first.dataflow is not None
    if winner.dataflow is None:
        assert [(step.source, step.layer) for step in first.dataflow.steps] == [
            ("merged", 0),
            ("merged", 1),
        ]
    else:
        assert first.hash() == winner.hash()


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"search.phases.0.searcher": "randon"}, "search.phases[0].searcher", "did you mean"),
        ({"search.phases.1.options": {"size": 3}}, "search.phases[1].options.size",
         "no such setting"),
        ({"search.phases.1.searcher": "optuna", "dataflow.space": "path"},
         "search.phases[1].searcher", "path_evolution"),
        ({"search.phases.0.share": 0.01}, "search.phases[0].share", "Raise its share"),
        ({"search.phases.0.search": "dataflow"}, "search.phases[0].search", "first, or"),
        ({"dataflow": None}, "dataflow", "there is none"),
    ],
)  # fmt: skip
def test_mistakes_name_the_phase(
    phased: dict[str, Any], change: dict[str, Any], key: str, message: str
) -> None:
    for dotted, value in change.items():
        *way, last = dotted.split(".")
        place: Any = phased
        for part in way:
            place = place[int(part)] if part.isdigit() else place[part]
        place[last] = value
        if last == "space":
            del place["repeats"]
    found = problems(phased)
    assert message in found[key], found


def test_a_phase_is_longer_than_what_runs_at_once(phased: dict[str, Any]) -> None:
    phased["search"]["mode"] = "async"
    phased["execution"] = {"executor": "local", "workers": 8}
    assert "needs more than 8" in problems(phased)["search.phases[0].share"]


def test_searcher_and_phases_are_not_given_together(phased: dict[str, Any]) -> None:
    phased["search"]["options"] = {"population": 3}
    with pytest.raises(ConfigError, match=r"options has no meaning beside phases"):
        prepared(phased)


def test_examples_are_wanted_if_one_phase_wants_them(
    phased: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not needs_examples(prepared(phased).make_searcher())
    kind = SEARCHERS.get(phased["search"]["phases"][1]["searcher"]).value
    monkeypatch.setattr(kind, "needs_examples", True, raising=False)
    assert needs_examples(prepared(phased).make_searcher())
