from pathlib import Path

import numpy as np

from evomerge.execution.protocol import BlockRef, BlockScores, Failure, Job, Outcome
from evomerge.runs.driver.spool import Spool
from tests.runs.fakes import FakeSpace


def job(name: str = "3-1", attempt: int = 2) -> Job:
    space = FakeSpace()
    recipe = space.recipe(space.decode(np.full(3, 0.5)))
    return Job(name, attempt, recipe, [BlockRef("near", "search", 0), BlockRef("far", "search", 1)])


def outcome(of: Job) -> Outcome:
    near = BlockScores(of.blocks[0], {"hit": np.array([[1.0], [0.0]])}, ["a", None])
    far = BlockScores(
        of.blocks[1], {"hit": np.ones((3, 1)), "distance": np.array([[np.nan, 1e-300]] * 3)}
    )
    return Outcome(
        of,
        scores=[near, far],
        merge_s=0.5,
        score_s=1.5,
        tokenise_s=0.25,
        wait_s=3.0,
        busy_s=2.5,
        devices=0.5,
        worker="w1",
        numeric_class="gpu",
        notes={"batch": "halved to 8"},
    )


def plain(found: Outcome) -> tuple[object, ...]:
    scores = [
        (item.ref, {name: v.tobytes() for name, v in item.values.items()}, item.answers)
        for item in found.scores
    ]
    rest = {key: value for key, value in vars(found).items() if key != "scores"}
    return scores, rest


def test_an_outcome_comes_back_bit_for_bit(tmp_path: Path) -> None:
    whole, failed = outcome(job()), Outcome(job("a/b", 1), failure=Failure("nan", "no", "trace"))
    spool = Spool(tmp_path / "spool")
    spool.keep(whole)
    spool.keep(failed)
    found = {kept.candidate_id: kept for kept in Spool(tmp_path / "spool").read()}
    assert plain(found["3-1"].outcome(whole.job)) == plain(whole)
    assert plain(found["a/b"].outcome(failed.job)) == plain(failed)
    assert (found["a/b"].split, found["a/b"].number) == ("search", 1)


def test_what_is_in_the_ledger_leaves_no_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.keep(outcome(job()))
    assert len(spool) == 1
    spool.drop("3-1", "search", 2)
    spool.drop("3-1", "search", 2)
    assert len(spool) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_short_by_a_crash_is_no_outcome(tmp_path: Path) -> None:
    (tmp_path / "half.npz.partial").write_bytes(b"PK")
    assert list(Spool(tmp_path).read()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_costs_no_more_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    spool = Spool(tmp_path / "spool")
    spool.keep(outcome(job()))
    assert len(spool) == 0
    Spool(None).keep(outcome(job()))
