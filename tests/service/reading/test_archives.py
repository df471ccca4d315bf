"""The archive of a searcher on formulas, as the service gives it."""

from pathlib import Path

import numpy as np

from evomerge.recipes.space import SearchSpace
from evomerge.runs.ledger import tables
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.reading.niches import read_niches
from evomerge.runs.steering import steer
from evomerge.search.m2n2 import M2N2Searcher
from evomerge.search.protocol import Searcher
from evomerge.service.folders import Folders
from evomerge.service.reading.archives import archive_of
from evomerge.service.reading.relation_models import Niches
from evomerge.service.reading.workspace import Workspace
from tests.runs.fakes import EVALUATORS, TWO, facts_of, segmented_space
from tests.service.reading.conftest import RUN_ID, Place, make_place

ARCHIVE = 5


def m2n2(space: SearchSpace, objectives: int) -> Searcher:
    return M2N2Searcher(space, seed=1, n_objectives=objectives, archive=ARCHIVE)


def niched(path: Path) -> Place:
    """A run of m2n2 that is over; some candidates failed."""
    place = make_place(path, budget=24, make_searcher=m2n2, make_space=segmented_space)
    ledger = Ledger.open(place.fake.url)
    search = {"budget": 24, "searcher": "m2n2", "options": {"archive": ARCHIVE}}
    config = {"search": search, "objectives": TWO}
    tasks = facts_of(EVALUATORS)
    tasks["near"]["metrics"][0]["binary"] = True
    with ledger.write("test") as connection:
        connection.execute(tables.run.update().values(config=config, tasks=tasks))
    ledger.close()
    place.fake.drive()
    return place


def test_an_archive_of_niches_is_told_with_its_map_and_its_bans(tmp_path: Path) -> None:
    place = niched(tmp_path)
    workspace = Workspace(Folders(place.runs), refresh_s=0.0)
    run, records = workspace.run(RUN_ID), workspace.records(RUN_ID)
    answer = archive_of(run, records)
    found = Niches.model_validate(answer).examples
    assert found is not None
    expected = read_niches(records, run.row, run.columns.objectives)
    names = [member.candidate for member in found.members]
    assert names == [member.candidate for member in expected.members]
    assert len(names) == ARCHIVE
    # The map is the members' scores on the examples of the one task that has them.
    scores = np.array([records.scores(name, "search", "near", "hit")[:, 0] for name in names])
    order = [index for column in found.map.columns for index in column]
    np.testing.assert_array_equal(found.map.scores, scores[:, order])
    np.testing.assert_array_equal(found.map.best, scores[:, order].max(axis=0))
    assert found.coverage == scores.max(axis=0).mean()
    assert found.attraction.candidates == names
    assert found.course[-1].result == 24
    assert not any(member.banned for member in found.members)

    steer(place.folder.path, "ban", names[1], on=True)
    again = Niches.model_validate(archive_of(workspace.run(RUN_ID), records)).examples
    assert again is not None
    # It stays in the archive, which the search breeds from, but is told to be banned.
    assert [member.banned for member in again.members] == [name == names[1] for name in names]
    assert again.map == found.map
    workspace.close()
