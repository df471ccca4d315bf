"""A route's checkpoint computes what the route computes in memory."""

from pathlib import Path
from typing import Any

import pytest

from evomerge.recipes.recipe import Step
from tests.merging.route_lab import RouteLab, config_of, difference, route

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    "qwen3": {},
    "mistral": {"sliding_window": 5},
    "gemma2": {"sliding_window": 5},
    "gemma3": {"sliding_window": 6, "sliding_window_pattern": 2},
    "gpt2": {},
    "gpt_neox": {},
    "mixtral": {},
    "qwen3_moe": {},
}
TOLERANCE = 2e-5


def lab_of(family: str, folder: Path) -> RouteLab:
    configs = {n: config_of(family, layers=d, **FAMILIES[family]) for n, d in (("a", 3), ("b", 4))}
    return RouteLab(folder, configs)


@pytest.mark.parametrize("family", FAMILIES)
def test_exported_routes_compute_what_routes_in_memory_do(tmp_path: Path, family: str) -> None:
    lab = lab_of(family, tmp_path)
    plain = [Step("a", 0), Step("b", 2), Step("b", 1), Step("a", 1), Step("a", 1), Step("b", 3)]
    flow = route(*plain, embedding="a", norm="b", head="b")
    assert difference(lab.routed(flow), lab.exported(flow)) == 0.0
    scaled = [
        Step("a", 0),
        Step("b", 2, scale=0.6, write=1.5),
        Step("a", 1, scale=-1.4),
        Step("a", 1, write=0.5),
        Step("b", 3, scale=1.7),
    ]
    flow = route(*scaled, norm="b")
    assert difference(lab.routed(flow), lab.exported(flow)) < TOLERANCE
    flow = route(*scaled, Step("b", 0, scale=-0.5), norm="b")
    assert difference(lab.routed(flow), lab.exported(flow)) < TOLERANCE
