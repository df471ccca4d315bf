"""A service with a few real runs, and a browser that is signed in to it."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from evomerge.config.load import parse_config
from evomerge.errors import RunFailedError
from evomerge.execution.protocol import Failure, Job
from evomerge.runs.folder import write_run
from evomerge.runs.remarks import add_note, set_star
from evomerge.runs.start import new_run
from tests.fixtures_models import tiny_model
from tests.runs.fakes import TWO, FakeRun

LIMIT_S = 120.0
expect.set_options(timeout=30_000)  # a busy machine takes its time
MARKUP = "<img src=x onerror=\"window.hacked=1\"><b>bold</b> & 'quoted'"
"""What must show as text wherever it stands."""
UNKNOWN_RUN = 32 * "f"
WORDS = ("copy", "next")
NAMES = ("base", "left", "right")
HOSTILE_SOURCE = "<b>right</b> & co"
HOSTILE_TASK = "<i>next</i>"


@dataclass(frozen=True)
class Site:
    """A service as a process.

    Args:
        url: Its address.
        token: An admin's token.
        folder: The working folder, with models, data and ``runs``.
        runs: Name → run id.
    """

    url: str
    token: str
    folder: Path
    runs: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service over runs: ``plain``, ``niched``, ``routed``, and ``broken``, where all failed."""
    folder = tmp_path_factory.mktemp("site")
    make_sources(folder)
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVOMERGE_CACHE", str(folder / "cache"))
        runs = {
            "plain": plain_run(),
            "niched": drive(niched_config()),
            "routed": drive(routed_config()),
            "broken": broken_run(folder),
        }
    with served(folder, runs) as found:
        yield found


@contextlib.contextmanager
def served(folder: Path, runs: dict[str, str] | None = None) -> Iterator[Site]:
    """Serve ``folder``, whose ``cache`` holds what commands keep."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "evomerge.cli.main", "serve", "--port", str(port)],
        cwd=folder,
        stderr=(folder / "serve.log").open("w"),
        env=os.environ
        | {
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "OMP_NUM_THREADS": "1",
            "EVOMERGE_CACHE": str(folder / "cache"),
        },
    )
    try:
        wait_until_ready(process, port)
        token = re.findall(r"^evm_\S+$", (folder / "serve.log").read_text(), re.MULTILINE)[0]
        yield Site(f"http://127.0.0.1:{port}", token, folder, runs or {})
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright for one file: while it is there, its event loop runs in the tests' thread."""
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium; it draws WebGL on the processor."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium: make system-deps installs it")
    options = ["--enable-unsafe-swiftshader"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")
    found = playwright.chromium.launch(executable_path=chromium, args=options)
    yield found
    found.close()


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Open signed-in pages; none may ask another host for anything, nor log an error."""
    wrong: list[str] = []
    contexts = []

    def open_one(
        path: str = "/", *, width: int = 1280, height: int = 800, scheme: str = "light"
    ) -> Page:
        context = browser.new_context(
            base_url=site.url,
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        contexts.append(context)
        answer = context.request.post("/api/v1/session", data={"token": site.token})
        assert answer.status == 201
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
        page.on("console", lambda said: note_error(said.type, said.text, said.location["url"]))
        page.on("request", lambda request: note_foreign(request.url))
        page.goto(path)
        return page

    def note_error(kind: str, text: str, url: str) -> None:
        expected = UNKNOWN_RUN in url or url.endswith("/jobs/check")
        if kind == "error" and not expected:
            wrong.append(f"{url}: {text}")

    def note_foreign(url: str) -> None:
        if not url.startswith((site.url, "data:", "blob:", "ws:")):
            wrong.append(f"asked for {url}")

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def make_sources(folder: Path) -> None:
    """Write three tiny models and two tasks, whose prompts hold markup."""
    for seed, name in enumerate(NAMES):
        tiny_model("llama", folder / name, seed=seed)
    for task, letters in zip(WORDS, ("abc", "bcd"), strict=True):
        lines = [
            json.dumps({"prompt": f"{MARKUP} {letters}{index}=", "answer": letters[index % 3]})
            for index in range(40)
        ]
        (folder / f"{task}.jsonl").write_text("\n".join(lines) + "\n")


def plain_config() -> dict[str, Any]:
    """Two objectives, twelve candidates; names of a source and of a task hold markup."""
    experts = {"left": {"path": "left"}, HOSTILE_SOURCE: {"path": "right"}}
    tasks = {"copy": "copy.jsonl", HOSTILE_TASK: "next.jsonl"}
    task = {
        "type": "log_likelihood",
        "prompt_key": "prompt",
        "answer_key": "answer",
        "splits": {"search": 12, "validation": 12, "test": 12},
    }
    return {
        "name": "plain",
        "base": "base",
        "sources": {"base": {"path": "base"}, **experts},
        "recipe": {
            "parameters": [
                {
                    "method": "task_arithmetic",
                    "inputs": list(experts),
                    "weights": {
                        "search": {"low": -0.5, "high": 1.5},
                        "granularity": "block:1",
                    },
                }
            ],
            "dtype": "float32",
        },
        "evaluators": {name: {**task, "data": data} for name, data in tasks.items()},
        "objectives": {name: {"from": [name], "direction": "maximize"} for name in tasks},
        "search": {
            "searcher": "nsga2",
            "budget": 12,
            "seed": 0,
            "options": {"population": 4},
            "finalists": 2,
        },
        "ledger": "sqlite:///runs/ledger.db",
    }


def plain_run() -> str:
    """Make the plain run and remark on its first candidate."""
    found = drive(plain_config())
    add_note(Path("runs/plain"), "0-0", f"note {MARKUP}")
    set_star(Path("runs/plain"), "0-0", on=True)
    return found


def niched_config() -> dict[str, Any]:
    """An m2n2 search of nine candidates."""
    config = plain_config()
    config["name"] = "niched"
    config["recipe"]["parameters"] = [
        {"method": "segments", "inputs": list(config["sources"]), "segments": "search"}
    ]
    tasks = list(config["evaluators"])
    config["objectives"] = {"mean": {"from": tasks, "direction": "maximize"}}
    config["search"] = {
        "searcher": "m2n2",
        "budget": 9,
        "options": {"archive": 4, "children": 2},
        "finalists": 2,
    }
    return config


def routed_config() -> dict[str, Any]:
    """A search for a path through the layers of two models; later candidates have parents."""
    config = plain_config()
    config["name"] = "routed"
    config["base"] = "left"
    config["recipe"] = {"dtype": "float32"}
    config["dataflow"] = {
        "space": "path",
        "model": "left",
        "sources": [HOSTILE_SOURCE],
        "scales": "hop",
        "max_steps": 5,
    }
    tasks = list(config["evaluators"])
    config["objectives"] = {"mean": {"from": tasks, "direction": "maximize"}}
    config["search"] = {
        "searcher": "path_evolution",
        "budget": 12,
        "seed": 0,
        "options": {"population": 4},
        "finalists": 2,
    }
    return config


def drive(config: dict[str, Any]) -> str:
    """Make a whole run in the working folder and return its id."""
    with new_run(parse_config(config, where=f"{config['name']}.yaml")) as opened:
        list(opened.run.drive())
        return opened.folder.run_id


def broken_run(folder: Path) -> str:
    """Store a run of which every candidate failed, with a name and reasons that hold markup."""
    run_id = "0123456789abcdef0123456789abcdef"
    fake = FakeRun(folder / "broken", objectives=TWO, run_id=run_id, budget=12)

    def fails(job: Job) -> Failure:
        kind = "nan" if job.candidate_id.endswith("-1") else "exception"
        return Failure(kind, MARKUP, f"Traceback …\n{MARKUP}")

    fake.worker.fails = fails
    place = folder / "runs" / "broken"
    place.mkdir(parents=True)
    fake.store().close()
    write_run(place, run_id=run_id, name=MARKUP, ledger=fake.url, config="{}\n")
    with pytest.raises(RunFailedError):
        fake.drive()
    return run_id


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + LIMIT_S
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10).close()
            return
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
