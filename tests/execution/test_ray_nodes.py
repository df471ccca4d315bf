from evomerge.execution.ray_nodes import NOWHERE, TRIES, Trust


def test_a_node_on_which_nothing_can_be_built_is_left_out() -> None:
    trust = Trust()
    for _ in range(TRIES - 1):
        assert trust.not_built("bad", "no model.\nTraceback", has_ready=False) == ""
    assert "no model." in trust.not_built("bad", "no model.\nTraceback", has_ready=False)
    assert trust.is_excluded("bad")
    assert not trust.is_excluded("good")


def test_a_node_with_ready_workers_is_kept_though_others_cannot_be_built() -> None:
    trust = Trust()
    for _ in range(2 * TRIES):
        assert trust.not_built("full", "no memory", has_ready=True) == ""
    assert trust.keeps_failing("full")
    trust.ready("full")
    assert not trust.keeps_failing("full")


def test_workers_that_end_in_a_row_cost_a_node_its_place() -> None:
    trust = Trust()
    trust.ended("bad", "0-0", is_last=False)
    trust.ended("bad", "0-1", is_last=False)
    trust.finished("bad")
    trust.ended("bad", "0-2", is_last=False)
    assert trust.ended("bad", "0-3", is_last=False) == ""
    assert "3 workers in a row" in trust.ended("bad", "0-4", is_last=False)


def test_one_candidate_that_kills_its_workers_is_not_the_nodes_fault() -> None:
    trust = Trust()
    for _ in range(2 * TRIES):
        assert trust.ended("good", "0-0", is_last=False) == ""


def test_the_last_node_is_kept_whatever_ends_there() -> None:
    trust = Trust()
    for n in range(2 * TRIES):
        assert trust.ended("only", f"0-{n}", is_last=True) == ""


def test_actors_that_cannot_be_had_anywhere_exclude_no_node() -> None:
    trust = Trust()
    for _ in range(TRIES):
        assert trust.not_built(NOWHERE, "no module named evomerge", has_ready=False) == ""
    assert trust.keeps_failing(NOWHERE)
    assert not trust.excluded
    trust.ready("good")
    assert not trust.keeps_failing(NOWHERE)
