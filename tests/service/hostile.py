"""A workspace that holds markup and nonsense wherever users, models and failures put text."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, update

from evomerge.execution.protocol import Failure, Job
from evomerge.runs.folder import write_run
from evomerge.runs.ledger.blocks import pack_answers, unpack_answers
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.tables import answer_block, estimate, run
from evomerge.runs.remarks import add_note, set_star
from evomerge.service.settings import Settings
from tests.runs.fakes import EVALUATORS, TWO, FakeRun, FakeWorker

RUN_ID = "0123456789abcdef0123456789abcdef"
MARKUP = "<script>alert('x')</script>\r\nSet-Cookie: a=b\"><img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class Hostile:
    """A service's settings, and a run in its workspace that is final."""

    settings: Settings
    run_id: str
    folder: Path


def make_hostile(folder: Path, *, no_auth: bool = False) -> Hostile:
    """Make the workspace in ``folder``: a run with failures, infinite scores, markup all over."""
    worker = FakeWorker(EVALUATORS, fails=_fails)
    url = f"sqlite:///{folder}/ledger.db"
    fake = FakeRun(folder, objectives=TWO, worker=worker, run_id=RUN_ID, budget=14, ledger=url)
    fake.drive()
    path = folder / "runs" / "toy"
    path.mkdir(parents=True)
    write_run(path, run_id=RUN_ID, name=MARKUP, ledger=url, config="{}\n")
    (path / "log.txt").write_text(f"first line\n{MARKUP}\nlast line\n")
    ledger = Ledger.open(url)
    with ledger.write("hostile") as connection:
        connection.execute(update(run).values(name=MARKUP))
        one = (estimate.c.candidate_id == "0-3") & (estimate.c.metric == "distance")
        for row in connection.execute(select(answer_block)).all():
            said = pack_answers([MARKUP] * len(unpack_answers(row.data)))
            where = [column == row._mapping[column] for column in answer_block.primary_key]
            connection.execute(update(answer_block).where(*where).values(data=said))
        connection.execute(
            update(estimate).where(one).values(value=float("inf"), high=float("inf"))
        )
    ledger.close()
    add_note(path, "0-2", MARKUP)
    set_star(path, "0-2", on=True)
    settings = Settings(ledger=url, runs=folder / "runs", roots=(folder / "data",), no_auth=no_auth)
    return Hostile(settings, RUN_ID, path)


def _fails(job: Job) -> Failure | None:
    broken = job.candidate_id.endswith("-1")
    return Failure("exception", MARKUP, f"Traceback\n{MARKUP}") if broken else None
