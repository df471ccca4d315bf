"""Registration and building of searchers."""

import subprocess
import sys

import pytest

from evomerge.errors import PluginError, ProblemsError, SearchError
from evomerge.search.protocol import SEARCHERS, build_searcher
from tests.search.functions import box


def test_all_searchers_are_registered_with_their_settings() -> None:
    known = ["catcma", "cma_es", "cma_mae", "cma_me", "cycleqd", "grid", "m2n2", "map_elites"]
    known += ["mo_cma_es", "motpe", "nsga2", "nsga3", "optuna", "path_evolution", "random", "sobol"]
    assert SEARCHERS.names() == known
    for declaration in SEARCHERS.declarations().values():
        assert declaration.summary.endswith(".")
        for parameter in declaration.parameters:
            assert parameter.help
            assert parameter.default is None or parameter.check(parameter.default) is None


def test_an_unknown_searcher_names_the_nearest() -> None:
    with pytest.raises(PluginError, match="did you mean 'cma_es'"):
        build_searcher("cmaes", box(2), seed=0)


def test_wrong_options_are_all_named() -> None:
    with pytest.raises(ProblemsError, match=r"search.options.points: got 1, expected at least 2"):
        build_searcher("grid", box(2), seed=0, options={"points": 1})


def test_an_ask_of_nothing_is_refused() -> None:
    with pytest.raises(SearchError, match="asked for 0 proposals"):
        build_searcher("random", box(2), seed=0).ask(0)


def test_the_registry_loads_no_heavy_library() -> None:
    code = (
        "import sys, evomerge.recipes; from evomerge.search import SEARCHERS; SEARCHERS.names();"
        "print([m for m in ('torch', 'cma', 'optuna', 'ribs', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
