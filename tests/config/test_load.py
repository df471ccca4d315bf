"""Reading run files: a mistake is one line with its key; what is dumped loads back equal."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.config import dump_config, load_config, parse_config, parse_yaml
from evomerge.errors import ConfigError

RUN_FILE = """\
name: toy
base: base
sources:
  base: {path: demo/base}
  sort: {path: demo/sort}
recipe:
  parameters:
    - method: linear
      inputs: [base, sort]
      weights: {search: {low: -0.5, high: 1e-1}, granularity: "block:1"}
evaluators:
  sort: {type: generation, data: demo/sort.jsonl, splits: {search: 100}}
objectives:
  mean: {from: [sort], direction: maximize}
search: {budget: 24}
"""


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(RUN_FILE)
    return path


def mistakes(text: str, overrides: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return (key, message) of all that is wrong with a run file."""
    with pytest.raises(ConfigError) as caught:
        parse_config(parse_yaml(text, "run.yaml"), where="run.yaml", overrides=overrides)
    return [(problem.key, problem.message) for problem in caught.value.problems]


def test_defaults_are_filled_in(run_file: Path) -> None:
    config = load_config(run_file)
    assert config.search.budget == 24
    assert config.search.searcher == "cma_es"
    assert config.execution.executor == "inprocess"
    assert config.recipe.parameters[0].model_extra == {
        "weights": {"search": {"low": -0.5, "high": 0.1}, "granularity": "block:1"}
    }
    assert config.objectives["mean"].sources == ["sort"]


@pytest.mark.parametrize(
    ("dataflow", "search", "searcher"),
    [
        ("{space: path}", "budget: 24", "path_evolution"),
        ("{space: path}", "budget: 24, searcher: random", "random"),
        ("{space: sakana}", "budget: 24", "cma_es"),
        ("{space: blocks}", "budget: 24", "cma_es"),
    ],
)
def test_a_search_for_paths_has_a_searcher_that_takes_them(
    run_file: Path, dataflow: str, search: str, searcher: str
) -> None:
    text = RUN_FILE.replace("budget: 24", search) + f"dataflow: {dataflow}\n"
    run_file.write_text(text)
    config = load_config(run_file)
    assert config.search.searcher == searcher
    assert parse_config(parse_yaml(dump_config(config), "again"), where="again") == config


def test_unknown_key_names_the_nearest_key_and_the_file(run_file: Path) -> None:
    run_file.write_text(RUN_FILE.replace("budget: 24", "budgte: 24, budget: 24"))
    with pytest.raises(ConfigError) as caught:
        load_config(run_file)
    assert str(caught.value).startswith(
        f"{run_file}: search.budgte: unknown key; did you mean 'budget'? Known: budget, "
    )


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ("budget: 24", "budget: many", "search.budget", "got 'many', expected a whole number."),
        ("budget: 24", 'budget: "24"', "search.budget", "got '24', expected a whole number."),
        ("budget: 24", "budget: true", "search.budget", "got true, expected a whole number."),
        ("budget: 24", "budget: 0", "search.budget", "got 0, expected at least 1."),
        ("search: {budget: 24}", "search:", "search", "got nothing, expected a mapping."),
        ("search: {budget: 24}", "", "search", "missing. Expected: How candidates are proposed"),
        ("name: toy", "name: 7", "name", "got 7, expected a text. Put it in quotes."),
        ("name: toy", "name: ../x", "name", "got '../x', expected letters, digits"),
        ("[base, sort]", "base", "recipe.parameters[0].inputs", "got 'base', expected a list."),
        (
            "[base, sort]",
            "[]",
            "recipe.parameters[0].inputs",
            "is empty, expected at least 1 entry",
        ),
        (
            "{path: demo/sort}",
            "{path: ''}",
            "sources.sort.path",
            "expected a text that is not empty",
        ),
        ("{path: demo/sort}", "demo/sort", "sources.sort", "got 'demo/sort', expected a mapping."),
        ("maximize", "maximise", "objectives.mean.direction", "did you mean 'maximize'? Known:"),
        ("maximize}", "maximize, weights: [1, 2]}", "objectives.mean", "got 2 weights, but 'from'"),
        (
            "maximize}",
            "maximize, weights: [0.0]}",
            "objectives.mean",
            "got weights [0.0], expected none below 0",
        ),
        (
            "maximize}",
            "maximize, aggregate: min, weights: [1.0]}",
            "objectives.mean",
            "only a mean has them",
        ),
        ("name: toy", "dataflow: {repeat: 2}\nname: toy", "dataflow.repeat", "mean 'repeats'"),
        ("name: toy", "dataflow: {model: a}\nname: toy", "dataflow", "one of space (routes are"),
        (
            "name: toy",
            "dataflow: {space: path, repeats: 2}\nname: toy",
            "dataflow",
            "repeats has no meaning beside path",
        ),
        (
            "name: toy",
            "dataflow: {steps: [], max_steps: 2}\nname: toy",
            "dataflow",
            "max_steps has no meaning beside steps",
        ),
        (
            "name: toy",
            "dataflow: {space: path, scale_range: [2, 3]}\nname: toy",
            "dataflow",
            "got the scale_range [2.0, 3.0], expected two numbers with 0 < low ≤ 1 ≤ high",
        ),
        (
            "name: toy",
            "dataflow: {space: path, max_steps: 0}\nname: toy",
            "dataflow.max_steps",
            "got 0, expected at least 1",
        ),
        (
            "budget: 24",
            "budget: 24, phases: [{search: parameters, share: 1}]",
            "search.phases",
            "has 1 entry, expected at least 2 entries.",
        ),
        ("low: -0.5", "low: .nan", "recipe.parameters[0].weights.search.low", "a finite number"),
        ("base: {path: demo/base}", "1: {path: a}", "sources.1", "the key 1 is not a text."),
    ],
)
def test_each_mistake_names_its_key_and_what_was_expected(
    old: str, new: str, key: str, message: str
) -> None:
    assert old in RUN_FILE
    (problem,) = [found for found in mistakes(RUN_FILE.replace(old, new, 1)) if found[0] == key]
    assert message in problem[1]
    assert "\n" not in problem[1]


def test_all_mistakes_are_reported_at_once_those_of_set_too() -> None:
    text = RUN_FILE.replace("budget: 24", "budget: x, sed: 1").replace("maximize", "up")
    found = mistakes(text, ("search.finalist=3", "search.seed=-1"))
    assert [key for key, _ in found] == [
        "--set search.finalist=3",
        "objectives.mean.direction",
        "search.budget",
        "search.seed",
        "search.sed",
    ]
    assert "did you mean 'finalists'?" in found[0][1]
    assert found[3][1] == "got -1, expected at least 0. (from --set search.seed=-1)"


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("", "", "is empty"),
        ("# only a comment\n", "", "is empty"),
        ("- a\n", "", "holds a list, expected a mapping"),
        ("just words", "", "holds 'just words', expected a mapping"),
        ("name: a\nbase: b\nname: c\n", "line 3", "key 'name' stands twice, in lines 1 and 3"),
        ("name: a\n---\nname: b\n", "line 2", "a second document begins; several in one file"),
        ("recipe:\n\tdtype: float32\n", "line 2, column 1", "a tab stands where YAML wants spaces"),
        ("a: [1,\nb: 2\n", "line 3, column 1", "YAML syntax error"),
        ("a: !!python/object:os.system {}", "line 1, column 4", "Only plain YAML values are read"),
        (f"a: {'9' * 5000}", "line 1, column 4", "a number of 5000 digits"),
        ("a: &x [*x]", "a[0]", "an alias refers to what it stands in"),
        ("a: !!set {b}", "a", "got a set"),
        ("schema_version: 99\nnonsense: 1", "schema_version", "Upgrade evomerge."),
    ],
)
def test_a_file_that_is_no_run_file_gives_one_line(
    tmp_path: Path, text: str, key: str, message: str
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert message in problem.message
    assert str(caught.value).count("\n") == 0


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load_config(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"name: \xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(binary)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-.5", -0.5),
        ("1_000", "1_000"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("0x10", 16),
        ("0o17", 15),
        ("010", 10),
        ("~", None),
        ("'1'", "1"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    parsed = parse_yaml(f"a: {text}", "x")["a"]
    assert parsed == value
    assert type(parsed) is type(value)


def test_overrides_reach_lists_options_and_blocks_that_the_file_leaves_out(run_file: Path) -> None:
    config = load_config(
        run_file,
        [
            "recipe.parameters[0].method=ties",
            "recipe.parameters.0.weights.search.low=-1e-2",
            "search.options.population=8",
            "execution.threads=2",
            "evaluators.sort.splits.search=7",
            "sources.extra={path: x}",
            "base=",
        ],
    )
    stage = config.recipe.parameters[0]
    assert stage.method == "ties"
    assert stage.model_extra is not None
    assert stage.model_extra["weights"]["search"]["low"] == -0.01
    assert config.search.options == {"population": 8}
    assert config.execution.threads == 2
    extra = config.evaluators["sort"].model_extra
    assert extra is not None
    assert extra["splits"] == {"search": 7}
    assert config.sources["extra"].path == "x"
    assert config.base is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.budgett=3", "no key 'search.budgett'; did you mean 'budget'?"),
        ("sources.bas.path=x", "no key 'sources.bas'; did you mean 'base'?"),
        ("recipe.parameters[1].method=x", "is a list of 1; got 1, expected an index below 1"),
        ("recipe.parameters.a.method=x", "is a list of 1; got 'a'"),
        ("search.budget.x=3", "search.budget is 24, so it has no 'x' below it"),
        ("search[0]=3", "so it has no 0 below it"),
        ("search.options.a.b=1", "no key 'search.options.a'"),
        ("search.budget=[3", "YAML syntax error"),
        ("search.budget", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("a..b=3", "expected KEY=VALUE"),
        ("[0]=3", "expected KEY=VALUE"),
    ],
)
def test_an_override_that_leads_nowhere_names_set(override: str, message: str) -> None:
    (problem,) = mistakes(RUN_FILE, (override,))
    assert problem[0].startswith("--set")
    assert message in problem[1]


def test_the_file_is_left_as_it_was_by_overrides() -> None:
    raw = parse_yaml(RUN_FILE, "x")
    parse_config(raw, where="x", overrides=["search.budget=3"])
    assert raw == parse_yaml(RUN_FILE, "x")


texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t:#-e0.'\"~ "), max_size=12
) | st.sampled_from(["1e-3", "no", "null", "~", ".5", "0x1", "1:30", "2024-01-01", "=", "<<", ""])
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
) | texts
plain_data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


@given(options=st.dictionaries(texts, plain_data, max_size=4), path=texts.filter(bool))
def test_a_dumped_config_loads_back_equal(options: dict[str, Any], path: str) -> None:
    raw = parse_yaml(RUN_FILE, "x")
    raw["search"]["options"] = options
    raw["evaluators"]["sort"] = {"type": "generation", "settings": options}
    raw["sources"]["sort"]["path"] = path
    config = parse_config(raw, where="x")
    again = parse_config(parse_yaml(dump_config(config), "y"), where="y")
    assert again == config
    assert again.search.options == options


@pytest.mark.parametrize(
    "flow",
    [
        {"space": "path", "max_steps": 4},
        {"space": "sakana", "repeats": 2, "scales": "table"},
        {"space": "blocks", "blocks": 2},
        {"steps": [{"source": "a", "layers": [0, 2]}], "head": "a"},
    ],
)
def test_a_dumped_dataflow_loads_back_equal(run_file: Path, flow: dict[str, Any]) -> None:
    run_file.write_text(dump_config(load_config(run_file, [f"dataflow={json.dumps(flow)}"])))
    loaded = load_config(run_file)
    assert loaded.dataflow is not None
    assert loaded.dataflow.model_dump().items() >= flow.items()


def test_a_dumped_config_starts_with_the_schema_version(run_file: Path) -> None:
    assert dump_config(load_config(run_file)).startswith("schema_version: 1\nname: toy\n")
