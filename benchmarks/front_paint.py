"""Time to the first paint of a front of 100,000 candidates, beside a bare page of the same points.

    OMP_NUM_THREADS=1 nice python benchmarks/front_paint.py [--candidates 100000] [--folder DIR]

A service and Debian's Chromium are processes of their own. The front's page is opened, and by turns
with it a page that holds nothing but the same points, the same chart library and one call of it.
The time of both is from the navigation to the frame after the library has drawn; beside it stands
the CPU time of the page's own thread, which a machine that is busy otherwise hardly changes. Warm:
the browser has seen both pages; cold: a fresh profile each time. Then both are dragged, and the
gaps between frames are counted.
"""

import argparse
import contextlib
import http.server
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sqlalchemy import text
from wide_ledger import RUN_ID, fill, url_of

from evomerge.runs.ledger.database import Ledger
from evomerge.service.dashboard.assets import plotly_file

VIEWS = {
    "2 objectives": "?x=math&y=code",
    "3 objectives": "?x=math&y=code&z=law",
    "5 objectives": "",
}
PAN_S = 3.0
LIMIT_MS = 120_000

# Marks the frame after the library's first drawing, whoever calls it.
PROBE = """
let library;
Object.defineProperty(window, "Plotly", {
  configurable: true,
  get: () => library,
  set(found) {
    library = found;
    for (const name of ["newPlot", "react"]) {
      const own = found[name];
      found[name] = (...given) => {
        const done = own(...given);
        done.then(() => requestAnimationFrame(() => setTimeout(() => {
          window.drawnAfter ??= performance.now();
        })));
        return done;
      };
    }
  },
});
"""

# What the dashboard's chart holds, without looks and without what belongs to the page.
POINTS = """() => document.querySelector(".js-plotly-plot").data.map((trace) => {
  const { type, mode, x, y, z } = trace;
  if (type !== "parcoords") return { type, mode, x, y, z };
  return {
    type,
    dimensions: trace.dimensions.map(({ label, values }) => ({ label, values })),
    line: { color: trace.line.color },
  };
})"""

BARE = """<!doctype html><meta charset="utf-8"><script src="/plotly.min.js"></script>
<div id="chart" style="width: {width}px; height: {height}px"></div>
<script>Plotly.newPlot("chart", {traces}, {{}});</script>
"""

# Gaps between frames, for as many ms as it is given.
FRAMES = """(wanted) => new Promise((resolve) => {
  const gaps = [];
  let last = performance.now();
  const end = last + wanted;
  const step = (now) => {
    gaps.push(now - last);
    last = now;
    if (now < end) requestAnimationFrame(step); else resolve(gaps.slice(1));
  };
  requestAnimationFrame(step);
})"""


class Bare:
    """A server of bare pages, and of the library; browsers keep the library for good."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        pages, library = self.pages, plotly_file().read_bytes()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                is_library = self.path == "/plotly.min.js"
                body = library if is_library else pages.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Type", "text/javascript" if is_library else "text/html")
                self.send_header("Cache-Control", "max-age=31536000" if is_library else "no-cache")
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *parts: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()


def filled(folder: Path, n: int) -> None:
    """Make the run where it isn't there; all its scores are finite."""
    if not (folder / "ledger.db").exists():
        fill(folder, n)
    ledger = Ledger.open(url_of(folder))
    with ledger.write("finite") as connection:
        connection.execute(
            text("UPDATE estimate SET value = 0.5, low = 0.4, high = 0.6 WHERE value > 1e300")
        )
    ledger.close()


@contextlib.contextmanager
def service(folder: Path) -> Iterator[str]:
    """Serve the run; yield the address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    command = [
        sys.executable, "-m", "evomerge.cli.main", "serve", "--no-auth", "--port", str(port),
        "--runs", str(folder / "runs"), "--ledger", url_of(folder), "--root", str(folder),
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/readyz", timeout=10).close()
                break
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


def opened(page: Page, address: str) -> tuple[float, float]:
    """Open ``address``; return the ms until the chart is drawn, and the page's CPU time in ms."""
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address, wait_until="commit")
    page.wait_for_function("window.drawnAfter !== undefined", timeout=LIMIT_MS)
    found = tools.send("Performance.getMetrics")["metrics"]
    cpu_s = next(item["value"] for item in found if item["name"] == "TaskDuration")
    return float(page.evaluate("window.drawnAfter")), 1000 * cpu_s


def context_of(browser: Browser) -> BrowserContext:
    """Return a fresh profile."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_init_script(PROBE)
    return context


def bare_page(browser: Browser, address: str) -> tuple[str, int]:
    """Return the bare page with the points of the dashboard's chart, and how many these are."""
    context = context_of(browser)
    page = context.new_page()
    opened(page, address)
    traces = page.evaluate(POINTS)
    size = page.locator(".js-plotly-plot").first.bounding_box()
    context.close()
    assert size is not None
    n = sum(len(trace.get("x") or trace["dimensions"][0]["values"]) for trace in traces)
    html = BARE.format(traces=json.dumps(traces), width=size["width"], height=size["height"])
    return html, n


def paints(
    browser: Browser, pages: list[str], turns: int, *, cold: bool
) -> list[list[tuple[float, float]]]:
    """Return what ``opened`` says of each page, opened by turns."""
    contexts = [context_of(browser) for _ in pages]
    found: list[list[tuple[float, float]]] = [[] for _ in pages]
    for turn in range(turns + (0 if cold else 2)):
        order = range(len(pages)) if turn % 2 == 0 else reversed(range(len(pages)))
        for place in order:
            if cold:
                contexts[place].close()
                contexts[place] = context_of(browser)
            page = contexts[place].new_page()
            taken = opened(page, pages[place])
            page.close()
            # The first two fill the caches, of scripts' code too.
            if cold or turn >= 2:
                found[place].append(taken)
    for context in contexts:
        context.close()
    return found


def frames(browser: Browser, address: str) -> list[float]:
    """Return the gaps between frames, in milliseconds, while the chart is dragged."""
    context = context_of(browser)
    page = context.new_page()
    opened(page, address)
    page.wait_for_timeout(1000)
    page.evaluate(
        "Plotly.relayout(document.querySelector('.js-plotly-plot'), {dragmode: 'pan'}), undefined"
    )
    box = page.locator(".js-plotly-plot").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(f"window.gaps = ({FRAMES})({1000 * PAN_S}), undefined")
    end = time.monotonic() + PAN_S
    angle = 0.0
    while time.monotonic() < end:
        angle += 0.15
        page.mouse.move(x + 120 * np.sin(angle), y + 80 * np.sin(2 * angle))
    page.mouse.up()
    gaps = page.evaluate("window.gaps")
    context.close()
    return [float(gap) for gap in gaps]


def told(own: Sequence[float], bare: Sequence[float]) -> str:
    """Return medians, and the median and quartiles of the ratios of neighbours."""
    ratios = np.array(own) / np.array(bare)
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return (
        f"{statistics.median(own):6.0f} ms, bare {statistics.median(bare):6.0f} ms, "
        f"{middle:.2f}x ({low:.2f} to {high:.2f})"
    )


def measure(browser: Browser, url: str, views: Sequence[str], turns: int) -> None:
    """Print a block of lines for each view."""
    bare = Bare()
    for name in views:
        query = VIEWS[name]
        address = f"{url}/runs/{RUN_ID}/front{query}"
        html, n = bare_page(browser, address)
        place = f"/{name.replace(' ', '')}.html"
        bare.pages[place] = html.encode()
        pages = [address, f"{bare.url}{place}"]
        for word in ("warm", "cold"):
            own, other = paints(browser, pages, turns, cold=word == "cold")
            for i, what in enumerate(("to first paint", "CPU of the page")):
                line = told([item[i] for item in own], [item[i] for item in other])
                print(f"{name}, {n} points, {word}, {what}: {line}", flush=True)
        if name.startswith("5"):
            continue  # Parallel axes are brushed, not panned.
        for word, page in zip(("dashboard", "bare"), pages, strict=True):
            gaps = frames(browser, page)
            late = np.quantile(gaps, 0.95)
            print(
                f"{name}, dragging, {word}: {1000 / np.mean(gaps):.0f} frames/s, "
                f"gaps {np.median(gaps):.0f} ms, 95 % below {late:.0f} ms",
                flush=True,
            )
    bare.close()


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="Keep the run there, or use the one there.")
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--views", nargs="+", choices=VIEWS, default=list(VIEWS))
    given = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("There is no chromium: make system-deps installs it.")
    options = ["--enable-unsafe-swiftshader", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = folder.resolve()
        filled(folder, given.candidates)
        url = stack.enter_context(service(folder))
        for query in ("?objective=math&objective=code", ""):
            urllib.request.urlopen(f"{url}/api/v1/runs/{RUN_ID}/front{query}").close()
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        measure(browser, url, given.views, given.turns)
        browser.close()


if __name__ == "__main__":
    main()
