"""The demo's three character tasks: their words, tokens, examples and training batches.

Strings have letters a to l, so that the successor of each is a letter too. A prompt reads
``reverse: cab=`` and its answer ``bac``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LETTERS = "abcdefghijkl"
LENGTH = 4
"""Letters of an evaluation string."""
TASKS = ("reverse", "sort", "successor")
SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<unk>")
TOKENS = (*SPECIAL_TOKENS, *(f"{task}: " for task in TASKS), "=", *LETTERS, "m")
"""The vocabulary in order of ids."""

IGNORED = -100
"""Label of a token that is not learned."""

_ID = {token: index for index, token in enumerate(TOKENS)}
_SHORT_SHARE = 0.2


@dataclass(frozen=True)
class Batch:
    """Training examples of one length.

    Args:
        tokens: Shape ``(b, t)``, int64.
        labels: Shape ``(b, t)``, int64: the answer's tokens and the end, ``IGNORED`` elsewhere.
    """

    tokens: NDArray[np.int64]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Mixture:
    """What a model is trained on.

    Args:
        shares: How often each of ``TASKS`` comes.
        habit: Probability of an example whose answer merely repeats the string.
        replay: Probability of drawing an example from ``rest`` instead.
        rest: The mixture that is replayed.
    """

    shares: tuple[float, ...]
    habit: float = 0.0
    replay: float = 0.0
    rest: "Mixture | None" = None


def answer(task: str, text: str) -> str:
    """Return the right answer: ``text`` backwards, in order, or each letter's successor."""
    if task == "reverse":
        return text[::-1]
    if task == "sort":
        return "".join(sorted(text))
    return "".join(chr(ord(letter) + 1) for letter in text)


def held_out(n: int, rng: np.random.Generator) -> dict[str, list[str]]:
    """Return task → ``n`` evaluation strings; no string comes twice, in whatever task."""
    drawn: dict[str, None] = {}
    while len(drawn) < n * len(TASKS):
        drawn[_text(rng, LENGTH)] = None
    texts = list(drawn)
    return {task: texts[index * n : (index + 1) * n] for index, task in enumerate(TASKS)}


def example(task: str, text: str) -> dict[str, str]:
    """Return the line of the task's data file."""
    return {"prompt": f"{task}: {text}=", "answer": answer(task, text)}


def draw_batch(
    mixture: Mixture, size: int, *, forbidden: Mapping[str, object], rng: np.random.Generator
) -> Batch:
    """Draw ``size`` examples of one length, none of whose strings is ``forbidden``."""
    length = LENGTH - 1 if rng.random() < _SHORT_SHARE else LENGTH
    rows: list[list[int]] = []
    while len(rows) < size:
        text = _text(rng, length)
        if text not in forbidden:
            rows.append(_draw_row(mixture, text, rng))
    tokens = np.array(rows, dtype=np.int64)
    labels = tokens.copy()
    labels[:, : length + 3] = IGNORED  # <bos>, the task, the string and "="
    return Batch(tokens, labels)


def encode(task: str, text: str, answered: Sequence[str]) -> list[int]:
    """Return the token ids of a whole example."""
    tokens = ["<bos>", f"{task}: ", *text, "=", *answered, "<eos>"]
    return [_ID[token] for token in tokens]


def _draw_row(mixture: Mixture, text: str, rng: np.random.Generator) -> list[int]:
    if mixture.rest is not None and rng.random() < mixture.replay:
        return _draw_row(mixture.rest, text, rng)
    task = TASKS[int(np.searchsorted(np.cumsum(mixture.shares), rng.random(), side="right"))]
    by_habit = mixture.habit > 0 and rng.random() < mixture.habit
    return encode(task, text, text if by_habit else answer(task, text))


def _text(rng: np.random.Generator, length: int) -> str:
    return "".join(LETTERS[index] for index in rng.integers(0, len(LETTERS), length))
