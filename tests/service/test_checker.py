"""Run files are checked in another process, with the messages of the command line."""

from pathlib import Path

import pytest

from evomerge.config.yaml_text import read_yaml
from evomerge.errors import ConfigError, ServiceError
from evomerge.service import checker
from evomerge.service.checker import Checker
from tests.cli.commands import mistake
from tests.cli.conftest import _made_workspace, workspace  # noqa: F401  fixtures

PLUGIN = """\
import evomerge.merging.registry as registry
raise RuntimeError("boom")
"""


@pytest.mark.slow
def test_a_submit_gets_the_messages_of_the_command_line(workspace: Path) -> None:  # noqa: F811
    raw = read_yaml(workspace / "run.yaml")
    found = Checker(timeout_s=600)
    try:
        good = found.check(raw, where="run.yaml")
        assert good.config["search"]["budget"] == 8
        first = found._process
        known = {kind: {item["name"] for item in items} for kind, items in found.choices().items()}
        assert "ties" in known["methods"]
        assert "generation" in known["evaluators"]
        several = {item["name"] for item in found.choices()["searchers"] if item["several"]}
        assert "nsga2" in several
        assert "cma_es" not in several
        raw["recipe"]["parameters"][0]["method"] = "tis"
        raw["evaluators"]["sort"]["data"] = "gone.jsonl"
        raw["search"]["finalist"] = 2
        with pytest.raises(ConfigError) as error:
            found.check(raw, where="run.yaml")
        assert found._process is first, "the process stays, with what it has loaded"
        search = "{searcher: random, budget: 8, options: {population: 4}, finalists: 2"
        overrides = (
            "recipe.parameters[0].method=tis",
            "evaluators.sort.data=gone.jsonl",
            f"search={search}, finalist: 2}}",
        )
        told = mistake("run", "run.yaml", *(word for o in overrides for word in ("--set", o)))
        texts = [line.partition(" (from --set")[0] for line in told]
        assert sorted(str(error.value).splitlines()) == sorted(texts)
        (workspace / "plugin.py").write_text(PLUGIN)
        with pytest.raises(ConfigError, match=r"plugin.py can't be imported: RuntimeError: boom"):
            found.check(read_yaml(workspace / "run.yaml"), where="x", plugins=["plugin.py"])
        assert found._process is None, "what a plug-in leaves behind isn't for the next check"
    finally:
        found.close()


class Broken:
    """A process that ends, or never answers."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.killed = False

    def is_alive(self) -> bool:
        return True

    def kill(self) -> None:
        self.killed = True

    def join(self) -> None:
        pass

    def send(self, _question: object) -> None:
        if self.answers:
            raise BrokenPipeError

    def poll(self, _timeout_s: float) -> bool:
        return False

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("ends", "message"),
    [(True, "process that checks run files has ended"), (False, "took more than 3 s")],
)
def test_a_check_that_gives_no_answer_ends_its_process(ends: bool, message: str) -> None:
    found = Checker(timeout_s=3)
    broken = Broken(answers=ends)
    found._process = found._pipe = broken  # type: ignore[assignment]  # stands for both
    with pytest.raises(ServiceError, match=message) as error:
        found.check({}, where="x")
    assert error.value.status == 503
    assert broken.killed
    assert found._process is None


def test_an_idle_process_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Checker(timeout_s=60)
    monkeypatch.setattr(checker, "_answer", lambda pipe: None)
    begun: list[int] = []
    monkeypatch.setattr(found, "_begin", lambda: begun.append(1) or _stand_in(found))
    found.check({}, where="x")
    found._process.is_alive = lambda: False  # type: ignore[union-attr,method-assign]  # idle
    found.check({}, where="x")
    assert len(begun) == 2


def _stand_in(found: Checker) -> None:
    class Answering(Broken):
        def poll(self, _timeout_s: float) -> bool:
            return True

        def recv(self) -> dict[str, object]:
            return {"config": {}, "warnings": []}

    found._process = found._pipe = Answering(answers=False)  # type: ignore[assignment]  # both
