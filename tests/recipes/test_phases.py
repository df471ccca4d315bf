import numpy as np
import pytest

from evomerge.errors import RecipeError
from evomerge.recipes.genes import Gene
from evomerge.recipes.phases import PhasedSpace
from evomerge.recipes.space import SearchSpace

FIRST = SearchSpace([Gene("a", "float"), Gene("b", "int", low=0, high=4)])
SECOND = SearchSpace([Gene("c", "float")])


@pytest.fixture
def space() -> PhasedSpace:
    made = PhasedSpace(FIRST)
    made.enter(1, SECOND)
    return made


def test_a_genome_goes_there_and_back_in_each_phase(space: PhasedSpace) -> None:
    for genome in ({"phase": 0, "a": 0.25, "b": 3}, {"phase": 1, "c": 0.5}):
        x = space.encode(genome)
        assert space.decode(x) == genome
        assert space.snap(x).tolist() == x.tolist()
    assert space.active(np.array([1.0, 0.5])).tolist() == [True, True]


def test_middle_and_random_genomes_are_of_the_first_phase(space: PhasedSpace) -> None:
    assert space.decode(space.middle()) == {"phase": 0, "a": 0.5, "b": 2}
    assert space.decode(space.draw(np.random.default_rng(0)))["phase"] == 0


def test_a_phase_that_has_not_begun_is_told(space: PhasedSpace) -> None:
    with pytest.raises(RecipeError, match=r"phase 3 of the search hasn't begun"):
        space.decode(np.array([2.0, 0.5]))


def test_entering_a_phase_anew_replaces_it_and_those_after_it(space: PhasedSpace) -> None:
    space.enter(2, SECOND)
    space.enter(1, FIRST)
    assert space.decode(np.array([1.0, 0.0, 0.0])) == {"phase": 1, "a": 0.0, "b": 0}
    with pytest.raises(RecipeError):
        space.decode(np.array([2.0, 0.5]))
