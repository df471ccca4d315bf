import pytest

from evomerge.errors import ExecutionError
from evomerge.execution.ray_seats import demand_of


def test_a_demand_names_what_is_asked_for_by_rays_names() -> None:
    found = demand_of(2, 0.5, {"fast_disk": 1}, 1.5)
    assert found == {"CPU": 2, "GPU": 0.5, "fast_disk": 1.0, "memory": 1.5 * 2**30}
    assert demand_of(0, 0, None, None) == {}


@pytest.mark.parametrize(
    ("gpus", "resources", "words"),
    [
        (1.5, None, "gpus 1.5"),
        (0, {"a": "much"}, "resources.a"),
        (0, {"a": True}, "resources.a"),
        (0, {"a": -1}, "at least 0"),
        (0, {"GPU": 1}, "Use cpus, gpus or memory_gb"),
    ],
)
def test_amounts_that_ray_cannot_give_are_refused(
    gpus: float, resources: dict[str, float] | None, words: str
) -> None:
    with pytest.raises(ExecutionError, match=words):
        demand_of(1, gpus, resources, None)
