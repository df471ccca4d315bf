"""The driver that the chaos test kills: begins a torch-free run, or goes on with the stored one.

python benchmarks/chaos_driver.py FOLDER '{"budget": 200, "executor": "local", …}'
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from synthetic_run import RUN_ID, Durations, Formula, Study

from evomerge.execution.registry import EXECUTORS, Crew
from evomerge.runs.heart import held_run
from evomerge.runs.ledger.database import Ledger

MEAN_S = 0.1
TASKS = (Formula("near", n=40, block_size=16), Formula("far", n=24, block_size=16))


def study_of(folder: Path, settings: dict[str, Any]) -> Study:
    """Return the run that ``settings`` describe."""
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


def main() -> None:
    """Drive the run to its end."""
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    study = study_of(folder, settings)
    study.create_once()
    crew = Crew(
        study.spec,
        slots=study.workers,
        folder=folder / "workers",
        run_id=folder.name,
    )
    plugin = EXECUTORS.get(settings["executor"])
    executor = plugin.value(crew, **plugin.declaration.fill(settings["options"]))
    ledger = Ledger.open(study.url)
    with contextlib.closing(ledger), held_run(ledger, RUN_ID) as epoch:
        for event in study.open(executor, ledger=ledger, epoch=epoch).drive():
            print(event.to_dict(), flush=True)


if __name__ == "__main__":
    main()
