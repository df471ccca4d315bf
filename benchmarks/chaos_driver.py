"""The driver that the chaos test kills: begins a torch-free run, or goes on with the stored one.

Its workers' processes import this file too, so it imports what it needs only when it drives.

    python benchmarks/chaos_driver.py FOLDER '{"budget": 200, "executor": "local", …}'
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthetic_worker import Durations, Formula

if TYPE_CHECKING:
    from synthetic_run import Study

    from evomerge.execution.protocol import Executor
    from evomerge.execution.registry import Crew

MEAN_S = 0.1
TASKS = (Formula("near", n=40, block_size=16), Formula("far", n=24, block_size=16))


def study_of(folder: Path, settings: dict[str, Any]) -> "Study":
    """Return the run that ``settings`` describe."""
    from synthetic_run import Study

    return Study(
        folder,
        budget=settings["budget"],
        searcher="cma_es",
        options={"population": 16},
        mode=settings["mode"],
        workers=settings["workers"],
        tasks=TASKS,
        durations=Durations(mean_s=MEAN_S, seed=settings["seed"]),
        attempts=settings["attempts"],
    )


def make_executor(name: str, crew: "Crew", options: dict[str, Any]) -> "Executor":
    """Return the executor; the registry would import them all, and torch with them."""
    if name == "local":
        from evomerge.execution.local import LocalExecutor

        return LocalExecutor(crew, **options)
    if name == "ray":
        from evomerge.execution.ray import RayExecutor

        return RayExecutor(crew, **options)
    from evomerge.execution.inprocess import InprocessExecutor

    return InprocessExecutor(crew)


def main() -> None:
    """Drive the run to its end."""
    from synthetic_run import RUN_ID

    from evomerge.execution.registry import Crew
    from evomerge.runs.driver.heart import held_run
    from evomerge.runs.ledger.database import Ledger

    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    study = study_of(folder, settings)
    study.create_once()
    crew = Crew(study.spec, slots=study.workers, folder=folder / "workers", run_id=folder.name)
    executor = make_executor(settings["executor"], crew, settings["options"])
    ledger = Ledger.open(study.url)
    with contextlib.closing(ledger), held_run(ledger, RUN_ID) as epoch:
        for event in study.open(executor, ledger=ledger, epoch=epoch).drive():
            print(event.to_dict(), flush=True)


if __name__ == "__main__":
    main()
