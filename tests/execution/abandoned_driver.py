"""A driver with two busy workers that is killed from outside, or ends without closing them.

Usage: python abandoned_driver.py FOLDER COMMANDS MODE, where MODE is ``stay``, ``leave`` or
``raise``. Prints the workers' process ids once both are busy.
"""

import sys
import time
from pathlib import Path

from evomerge.execution.local import LocalExecutor
from evomerge.execution.registry import Crew
from tests.execution.specs import ActingSpec, job


def main(folder: Path, commands: str, mode: str) -> None:
    executor = LocalExecutor(Crew(ActingSpec(), slots=2, folder=folder))
    executor.start()
    for n in range(2):
        executor.submit(job(f"0-{n}", commands))
    while [state.state for state in executor.workers()] != ["busy"] * 2:
        executor.wait(timeout_s=0.1)
    print(*(worker.pid for worker in executor._workers), flush=True)
    if mode == "raise":
        raise ValueError("a bug of the driver's")
    if mode == "stay":
        time.sleep(600)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
