"""Takes a picture of each page of the dashboard, from real runs, into docs/images.

    make screenshots        or        python docs/screenshots.py [--folder DIR] [--pages NAME …]

Makes the demo's models and five short runs in a folder (twenty minutes on two cores; those that
are there already are taken), serves them, and visits each page at the width of a screen and of a
phone, light and dark.
"""

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Page, sync_playwright

from evomerge.runs.folder import RunFolder

HERE = Path(__file__).parent
CONFIGS = HERE.parent / "configs"
EXPERTS = ("reverse", "sort", "successor")
SHAPES = {"screen": (1280, 800), "phone": (390, 844)}
THEMES = ("light", "dark")
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "trade-offs": (
        "quickstart.yaml",
        {
            "objectives": {name: {"from": [name], "direction": "maximize"} for name in EXPERTS},
            "search": {
                "searcher": "nsga2",
                "budget": 160,
                "seed": 0,
                "options": {"population": 16},
            },
        },
    ),
    "m2n2": ("m2n2.yaml", {"search.budget": 120}),
    "routes": ("routes.yaml", {"search.budget": 60}),
    "quality_diversity": ("quality_diversity.yaml", {"search.budget": 120}),
    "quickstart": ("quickstart.yaml", {"search.budget": 128}),
}
"""Run → the file that it comes from, and what is different."""


def main() -> None:
    """Make what is missing, serve it, and take the pictures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, help="Where the runs are kept for another time.")
    arguments.add_argument("--out", type=Path, default=HERE / "images")
    arguments.add_argument("--pages", nargs="*", help="Only these pages.")
    chosen = arguments.parse_args()
    with contextlib.ExitStack() as stack:
        folder = chosen.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        make_runs(folder)
        url = stack.enter_context(served(folder))
        visit(url, addresses(folder), chosen.out, chosen.pages)


def make_runs(folder: Path) -> None:
    """Make the models and the runs that are missing."""
    if not (folder / "demo" / "demo.json").exists():
        evomerge(folder, "demo", "demo")
    for name, (file, changes) in RUNS.items():
        if (folder / "runs" / name / "run.json").exists():
            evomerge(folder, "resume", f"runs/{name}")
            continue
        config = yaml.safe_load((CONFIGS / file).read_text()) | {"name": name}
        for key, value in changes.items():
            first, _, last = key.partition(".")
            if last:
                config[first][last] = value
            else:
                config[first] = value
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        evomerge(folder, "run", f"{name}.yaml")


def addresses(folder: Path) -> dict[str, str]:
    """Return picture's name → address."""
    run = {name: f"/runs/{RunFolder.open(folder / 'runs' / name).run_id}" for name in RUNS}
    wide, cells = run["trade-offs"], run["quality_diversity"]
    ids = [address.removeprefix("/runs/") for address in (run["quickstart"], run["m2n2"])]
    return {
        "runs": "/",
        "compare-runs": f"/compare?run={ids[0]}&run={ids[1]}",
        "new-run": "/new?template=quickstart",
        "jobs": "/jobs",
        "live": run["quickstart"],
        "front": f"{wide}/front?x=reverse&y=sort",
        "front-3d": f"{wide}/front",
        "candidates": f"{wide}/candidates",
        "candidate": f"{wide}/candidates/8-8",
        "candidate-segments": f"{run['m2n2']}/candidates/20-0",
        "candidate-route": f"{run['routes']}/candidates/4-1",
        "compare-candidates": f"{wide}/compare?candidate=8-8&candidate=6-14&candidate=3-15",
        "niches": f"{run['m2n2']}/niches",
        "niches-cells": f"{cells}/niches",
        "parameters": f"{run['quickstart']}/parameters",
        "workers": f"{run['quickstart']}/workers",
        "talk": f"{wide}/talk?candidate=8-8",
    }


def visit(url: str, pages: dict[str, str], out: Path, chosen: list[str] | None) -> None:
    """Take the pictures of ``pages`` into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--enable-unsafe-swiftshader", *(["--no-sandbox"] if os.geteuid() == 0 else [])],
        )
        for shape, (width, height) in SHAPES.items():
            for theme in THEMES:
                context = browser.new_context(
                    base_url=url,
                    viewport={"width": width, "height": height},
                    color_scheme=theme,  # type: ignore[arg-type]
                    reduced_motion="reduce",
                )
                page = context.new_page()
                for name, address in pages.items():
                    if chosen is None or name in chosen:
                        take(page, address, out / f"{name}-{shape}-{theme}.png")
                context.close()
        browser.close()


def take(page: Page, address: str, file: Path) -> None:
    """Take one picture once the page has settled."""
    page.goto(address)
    page.locator("main h1").first.wait_for()
    page.wait_for_function("!document.querySelector('.q-skeleton')")
    page.wait_for_timeout(1500)  # charts draw once more when fonts and sizes are known
    page.screenshot(path=file)
    print(file)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the runs of ``folder``; yield the address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    options = ["--no-auth", "--port", str(port), "--max-running", "0"]
    service = subprocess.Popen(
        [sys.executable, "-m", "evomerge.cli.main", "serve", *options], cwd=folder
    )
    try:
        url = f"http://127.0.0.1:{port}"
        while service.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/readyz").close()
                break
            time.sleep(0.2)
        yield url
    finally:
        service.terminate()
        service.wait()


def evomerge(folder: Path, *arguments: str) -> None:
    """Run a command of evomerge in ``folder``."""
    command = [sys.executable, "-m", "evomerge.cli.main", *arguments]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=folder, check=True, env=environment)


if __name__ == "__main__":
    main()
