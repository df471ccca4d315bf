from typing import Any

from evomerge.service.reading.columns import Columns
from evomerge.service.reading.lineage import MOST_NODES, lineage_of
from tests.service.reading.test_fronts import OBJECTIVES


def family(**parents: str) -> Columns:
    """Candidates with the given parents, each a word."""
    columns = Columns(OBJECTIVES)
    columns.add(
        [
            {
                "candidate_id": name, "ask": 0, "place": place, "kind": "search",
                "origin": "m2n2", "parents": words.split(), "recipe_hash": "",
            }
            for place, (name, words) in enumerate(parents.items())
        ]
    )  # fmt: skip
    return columns


def shown(found: dict[str, Any]) -> dict[str, int]:
    return {node["candidate"]: node["generation"] for node in found["nodes"]}


FAMILY = family(a="", b="", c="a b", d="c a", e="d", f="d", g="e f", lonely="gone")


def test_relatives_come_with_their_generation() -> None:
    found = lineage_of(FAMILY, "d", up=9, down=9)
    assert shown(found) == {"d": 0, "c": -1, "a": -1, "e": 1, "f": 1, "b": -2, "g": 2}
    assert found["complete"]
    edges = {(edge["parent"], edge["child"]) for edge in found["edges"]}
    assert edges == {
        ("a", "c"), ("b", "c"), ("c", "d"), ("a", "d"), ("d", "e"), ("d", "f"), ("e", "g"),
        ("f", "g"),
    }  # fmt: skip


def test_what_is_too_far_is_left_out_and_said() -> None:
    found = lineage_of(FAMILY, "d", up=1, down=0)
    assert shown(found) == {"d": 0, "c": -1, "a": -1}
    assert not found["complete"]


def test_a_parent_that_is_not_stored_is_no_relative() -> None:
    found = lineage_of(FAMILY, "lonely", up=5, down=5)
    assert shown(found) == {"lonely": 0}
    assert found["nodes"][0]["parents"] == ("gone",)


def test_a_large_family_is_cut() -> None:
    columns = family(root="", **{f"c{i}": "root" for i in range(2 * MOST_NODES)})
    found = lineage_of(columns, "root", up=1, down=1)
    assert len(found["nodes"]) == MOST_NODES
    assert not found["complete"]
