"""What reading a run of 100,000 candidates over HTTP takes, while it goes on, with 20 readers.

A service, a driver and the readers are processes of their own. Each reader asks one address after
the other with a pause between, as a page that looks again does; one of the addresses answers
nothing at all, so that its time is what every request takes on this machine at this moment. The
driver commits results all the time; its commits with readers and without are timed by turns.

    OMP_NUM_THREADS=1 nice python benchmarks/service_reads.py [--candidates 100000] [--folder DIR]
    OMP_NUM_THREADS=1 nice python benchmarks/service_reads.py --cpu [--folder DIR]

With --cpu there are neither readers nor other processes: what counts is the CPU time of each
request, asked one after the other, which a machine that is busy otherwise hardly changes.
"""

import argparse
import http.client
import json
import multiprocessing
import random
import socket
import tempfile
import threading
import time
from collections import defaultdict
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from wide_ledger import RUN_ID, drive, fill, name_of, url_of

RUN = f"/api/v1/runs/{RUN_ID}"
EMPTY = "/api/v1/empty"
WRITE_PAUSE_S = 0.1


def addresses(n: int, rng: random.Random) -> dict[str, str]:
    """Return what a reader asks for next, by name."""
    name = name_of(rng.randrange(n // 2))
    objective, bound = rng.choice(["math", "law"]), f"math%20>%3D%200.{rng.randrange(9)}"
    return {
        "empty": EMPTY,
        "runs": "/api/v1/runs",
        "run": RUN,
        "candidates": f"{RUN}/candidates?limit=100",
        "candidates, by objective": f"{RUN}/candidates?limit=200&sort=-{objective}",
        "candidates, bounds": f"{RUN}/candidates?status=done&where={bound}",
        "candidates, failed": f"{RUN}/candidates?status=failed&limit=200",
        "candidate": f"{RUN}/candidates/{name}",
        "front, 2 objectives": f"{RUN}/front?objective=math&objective=code",
        "front, 3 objectives": f"{RUN}/front?objective=math&objective=code&objective=law",
        "front, 5 objectives": f"{RUN}/front",
        "lineage": f"{RUN}/lineage/{name}",
        "metrics": f"{RUN}/metrics",
        "workers": f"{RUN}/workers",
        "logs": f"{RUN}/logs",
    }


def serve(folder: Path, port: int) -> None:
    """Run the service with one more address, which answers nothing."""
    import uvicorn

    from evomerge.service.access import Viewer
    from evomerge.service.app import create_app
    from evomerge.service.settings import Settings

    settings = Settings(ledger=url_of(folder), runs=folder / "runs", port=port, no_auth=True)
    app = create_app(settings)

    @app.get(EMPTY)
    def empty(caller: Viewer) -> dict[str, str]:
        return {}

    uvicorn.run(app, port=port, log_level="warning")


def write(folder: Path, first: int, pipe: Connection) -> None:
    """Drive the run on; on each word from ``pipe`` send the commits' seconds since the last one."""
    found: list[float] = []
    for seconds in drive(folder, first, WRITE_PAUSE_S):
        found.append(seconds)
        if pipe.poll():
            if pipe.recv() == "end":
                return
            pipe.send(found)
            found = []


def read(port: int, n: int, seed: int, pause_s: float, until: threading.Event,
         times: dict[str, list[float]], sizes: dict[str, int]) -> None:  # fmt: skip
    """Ask one address after the other until told to stop."""
    rng = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while not until.is_set():
        chosen = list(addresses(n, rng).items())
        rng.shuffle(chosen)
        for name, address in chosen:
            if until.wait(rng.uniform(0, 2 * pause_s)):
                return
            began = time.perf_counter()
            connection.request("GET", address)
            answer = connection.getresponse()
            body = answer.read()
            times[name].append(time.perf_counter() - began)
            sizes[name] = len(body)
            assert answer.status == 200, (address, answer.status, body[:300])


def ask_once(port: int, n: int) -> dict[str, float]:
    """Return what each address takes the first time, nothing of the run being in memory."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    found = {}
    for name, address in addresses(n, random.Random(0)).items():
        began = time.perf_counter()
        connection.request("GET", address)
        connection.getresponse().read()
        found[name] = time.perf_counter() - began
    return found


def p95(values: list[float]) -> float:
    """Return the 95th percentile in ms."""
    return float(np.quantile(values, 0.95)) * 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--pause-s", type=float, default=1.0, help="mean, between two requests")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="keeps the filled ledger")
    parser.add_argument("--cpu", action="store_true", help="CPU time, for a busy machine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made) / "wide"
        if not (folder / "runs" / "wide" / "run.json").is_file():
            fill(folder, options.candidates)
        if options.cpu:
            measure_cpu(folder, options.candidates)
        else:
            measure(folder, options)


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Measure on a filled ledger."""
    spawn = multiprocessing.get_context("spawn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = spawn.Process(target=serve, args=(folder, port), daemon=True)
    service.start()
    wait_for(port)
    first = ask_once(port, options.candidates)
    ours, theirs = spawn.Pipe()
    # A folder that is used again has candidates of earlier measurements.
    begin = int(time.time()) % 10**8 * 100
    driver = spawn.Process(target=write, args=(folder, begin, theirs), daemon=True)
    driver.start()
    times: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, int] = {}
    commits: dict[bool, list[float]] = {True: [], False: []}
    collect(ours)
    for turn in range(2 * options.turns):
        with_readers = turn % 2 == 1
        stop = threading.Event()
        threads = [
            threading.Thread(
                target=read,
                args=(
                    port,
                    options.candidates,
                    100 * turn + i,
                    options.pause_s,
                    stop,
                    times,
                    sizes,
                ),
            )
            for i in range(options.readers if with_readers else 0)
        ]
        for thread in threads:
            thread.start()
        time.sleep(options.seconds)
        commits[with_readers] += collect(ours)
        stop.set()
        for thread in threads:
            thread.join()
    ours.send("end")
    print_table(times, sizes, first, commits)
    driver.join(5)
    service.terminate()


def measure_cpu(folder: Path, n: int, rounds: int = 20) -> None:
    """Print the CPU time of one request after the other, the run having gone on before each."""
    from evomerge.service.access import Viewer
    from evomerge.service.app import create_app
    from evomerge.service.settings import Settings

    settings = Settings(ledger=url_of(folder), runs=folder / "runs", no_auth=True)
    app = create_app(settings)

    @app.get(EMPTY)
    def empty(caller: Viewer) -> dict[str, str]:
        return {}

    client = TestClient(app, base_url="http://127.0.0.1")
    driver = drive(folder, int(time.time()) % 10**8 * 100, 0.0)
    rng, times = random.Random(0), defaultdict(list)
    for turn in range(rounds + 1):
        for name, address in addresses(n, rng).items():
            next(driver)
            began = time.process_time()
            answer = client.get(address)
            while answer.status_code == 503:  # it is being read for the first time
                answer = client.get(address)
            if turn:  # the first time all of the run is read
                times[name].append(time.process_time() - began)
    print("| address | p95, ms of CPU | more than empty, ms | ratio |")
    print("|---|---|---|---|")
    for name, found in times.items():
        mine, least = p95(found), p95(times["empty"])
        print(f"| {name} | {mine:.1f} | {mine - least:.1f} | {mine / least:.2f} |")


def collect(pipe: Connection) -> list[float]:
    """Return the commits' seconds since the last call."""
    pipe.send("more")
    found: list[float] = pipe.recv()
    return found


def wait_for(port: int) -> None:
    """Wait until the service answers."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the service doesn't answer")


def print_table(
    times: dict[str, list[float]],
    sizes: dict[str, int],
    first: dict[str, float],
    commits: dict[bool, list[float]],
) -> None:
    """Print what was measured."""
    empty = p95(times["empty"])
    print("| address | requests | bytes | p95, ms | more than empty, ms | ratio | first time, s |")
    print("|---|---|---|---|---|---|---|")
    for name, found in times.items():
        mine = p95(found)
        print(
            f"| {name} | {len(found)} | {sizes[name]:,} | {mine:.1f} | {mine - empty:.1f} | "
            f"{mine / empty:.2f} | {first[name]:.2f} |"
        )
    without, beside = p95(commits[False]), p95(commits[True])
    print(
        f"\ncommits p95: {without:.1f} ms without readers ({len(commits[False])}), {beside:.1f} ms "
        f"with ({len(commits[True])}): {beside / without:.2f}x"
    )
    print(json.dumps({"empty_p50_ms": float(np.median(times["empty"])) * 1e3}))


if __name__ == "__main__":
    main()
