"""Random masks: known answers, nesting, and independence of how they are asked for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.merging.masks import Stream, philox


def stream(**changes: object) -> Stream:
    plain = {"seed": 0, "method": "dare_linear", "content": "c" * 64, "tensor": "w"}
    return Stream.of(**{**plain, **changes})  # type: ignore[arg-type]  # of one kind each


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        (0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (0xFFFFFFFF, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ],
)
def test_philox_gives_its_authors_answers(word: int, answer: list[int]) -> None:
    counter = torch.tensor([word])
    words = philox((counter, counter, counter, counter), (word, word))
    assert [int(value) for value in words] == answer


@given(st.integers(0, 200_000), st.integers(0, 3000), st.floats(0, 1))
def test_pieces_are_pieces_of_the_whole(start: int, length: int, density: float) -> None:
    whole = stream().mask(density, 0, start + length)
    assert torch.equal(stream().mask(density, start, start + length), whole[start:])


@given(st.floats(0, 1), st.integers(0, 5000), st.integers(0, 2000))
def test_compiled_and_torch_draw_alike(density: float, start: int, length: int) -> None:
    compiled = stream().mask(density, start, start + length)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evomerge.merging.native.LIBRARY", None)
        assert torch.equal(compiled, stream().mask(density, start, start + length))


@given(st.floats(0, 1), st.floats(0, 1))
def test_masks_are_nested(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert bool((stream().mask(low, 0, 5000) <= stream().mask(high, 0, 5000)).all())


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_keeps_the_share_that_was_asked_for(density: float) -> None:
    n = 1_000_000
    kept = float(stream().mask(density, 0, n).mean())
    assert abs(kept - density) < 4 * (density * (1 - density) / n) ** 0.5


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"method": "dare_ties"}, {"content": "d" * 64}, {"tensor": "v"}]
)
def test_streams_are_independent(change: dict[str, object]) -> None:
    n = 100_000
    agree = (stream().mask(0.5, 0, n) == stream(**change).mask(0.5, 0, n)).float().mean()
    assert abs(float(agree) - 0.5) < 4 * 0.5 / n**0.5


def test_ends_of_the_range() -> None:
    assert stream().mask(0.0, 0, 1000).sum() == 0
    assert stream().mask(1.0, 0, 1000).sum() == 1000
