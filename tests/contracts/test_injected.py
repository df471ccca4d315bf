"""What every registered searcher must do with what is injected in the middle of its search."""

import numpy as np
import pytest

from evomerge.search.protocol import Proposal, Searcher, Start, inject
from tests.contracts.test_searchers import SPACE, build, drive, every_searcher, plain, sometimes


@every_searcher
@pytest.mark.parametrize("n", [None, 4], ids=["whole", "as many as asked for"])
def test_what_is_injected_is_proposed_next_and_learnt_from(
    name: str, options: dict[str, object], n: int | None
) -> None:
    points = [SPACE.snap(np.full(6, place)) for place in (0.4, 0.7)]

    def search(searcher: Searcher) -> list[list[Proposal]]:
        asked = []
        for generation in range(5):
            if generation == 2:
                for place, point in enumerate(points):
                    inject(searcher, Start(f"mine{place}", point, kind="inject"))
            asked.append(searcher.ask(n))
            searcher.tell([sometimes(proposal) for proposal in asked[-1]])
        return asked

    first = search(build(name, options))
    assert [p.origin for p in first[2][:2]] == ["inject:mine0", "inject:mine1"]
    for proposal, point in zip(first[2], points, strict=False):
        np.testing.assert_array_equal(proposal.genome, point)
    assert all("inject" not in p.origin for generation in first[3:] for p in generation)
    assert {len(generation) for generation in first[2:]} <= {len(first[1]), 4, 0}
    assert plain(first) == plain(search(build(name, options)))
    if name in ("cma_es", "catcma", "path_evolution", "nsga2", "mo_cma_es", "map_elites"):
        assert plain(first)[3:] != plain(drive_on(build(name, options), n))[3:]


def drive_on(searcher: Searcher, n: int | None) -> list[list[Proposal]]:
    """Drive without anything injected."""
    asked = []
    for _ in range(5):
        asked.append(searcher.ask(n))
        searcher.tell([sometimes(proposal) for proposal in asked[-1]])
    return asked


@every_searcher
def test_what_is_injected_before_the_first_ask_comes_with_the_starts(
    name: str, options: dict[str, object]
) -> None:
    searcher = build(name, options)
    inject(searcher, Start("mine", SPACE.middle(), kind="inject"))
    asked = drive(searcher, 3, sometimes)
    assert [p.origin for p in asked[0]][3] == "inject:mine"
    assert all(asked)
