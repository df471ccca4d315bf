"""Examples divided into search, validation and test: seeded, stratified, near-duplicates together.

The order of examples depends on their texts and the seed alone. ``search`` takes them from the
front, ``test`` from the back, ``validation`` what stands before ``test``; so a larger search split
keeps the smaller one's examples, in the same places, and takes none from the others.
"""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.errors import EvaluationError
from evomerge.evaluation.protocol import SPLITS

DEFAULT_SPLITS = {"search": 0.5, "validation": 0.25, "test": 0.25}


def normalise_text(text: str) -> str:
    """Return ``text`` without differences of case, width and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def split_sizes(sizes: Mapping[str, Any], n: int, name: str) -> dict[str, int]:
    """Return the number of examples in each split.

    Args:
        sizes: ``search``, ``validation``, ``test`` → a count (whole number) or a fraction (0 to 1).
        n: Examples that there are.
        name: The evaluator, for messages.

    Raises:
        EvaluationError: A split is missing, unknown or empty, or they need more than ``n``.
    """
    wrong = sorted(set(sizes) ^ set(SPLITS))
    if wrong:
        raise EvaluationError(
            f"evaluator {name!r}: splits names {', '.join(map(str, sizes)) or 'nothing'}; expected "
            f"search, validation and test. Mend splits.{wrong[0]}."
        )
    counts = _counts(sizes, n, name)
    total = sum(counts.values())
    if total > n:
        wanted = " + ".join(f"{split} {counts[split]}" for split in SPLITS)
        raise EvaluationError(
            f"evaluator {name!r} has {n} examples, and its splits want {total} ({wanted}). "
            "Ask for fewer, or add data."
        )
    empty = [split for split in SPLITS if not counts[split]]
    if empty:
        raise EvaluationError(
            f"evaluator {name!r}: the split {empty[0]!r} would have no examples (splits."
            f"{empty[0]} is {sizes[empty[0]]} of {n}). Give every split at least one."
        )
    return counts


def _counts(sizes: Mapping[str, Any], n: int, name: str) -> dict[str, int]:
    """Return counts from counts and fractions; fractions that add up to 1 use every example."""
    counts = {}
    before = 0.0
    for split in SPLITS:
        size = sizes[split]
        if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
            counts[split] = size
        elif isinstance(size, float) and 0 <= size <= 1:
            after = before + size
            counts[split] = int(after * n + 0.5) - int(before * n + 0.5)
            before = after
        else:
            raise EvaluationError(
                f"evaluator {name!r}: splits.{split} is {size!r}; expected a number of examples or "
                "a fraction from 0.0 to 1.0."
            )
    return counts


def order_examples(
    texts: Sequence[str], *, seed: int, strata: Sequence[str] | None = None
) -> list[list[int]]:
    """Return groups of example indices in their fixed order; a group holds near-duplicates.

    Every prefix and suffix of the order holds the strata in about their overall proportions.

    Args:
        texts: What makes an example the same as another, one each.
        seed: Seed of the order.
        strata: One label an example; a group takes its first member's.
    """
    groups: dict[str, list[int]] = {}
    for index, text in enumerate(texts):
        groups.setdefault(normalise_text(text), []).append(index)
    by_stratum: dict[str, list[tuple[str, list[int]]]] = {}
    for text, members in groups.items():
        digest = hashlib.sha256(f"{seed}\n{text}".encode()).hexdigest()
        stratum = strata[members[0]] if strata is not None else ""
        by_stratum.setdefault(stratum, []).append((digest, members))
    ranked = []
    for ordered in by_stratum.values():
        ordered.sort()
        ranked += [
            ((rank + 0.5) / len(ordered), digest, members)
            for rank, (digest, members) in enumerate(ordered)
        ]
    return [members for _, _, members in sorted(ranked)]


def split_examples(
    texts: Sequence[str],
    sizes: Mapping[str, Any],
    *,
    seed: int,
    name: str,
    strata: Sequence[str] | None = None,
) -> dict[str, list[int]]:
    """Divide examples into splits and return split → example indices in order, and the rest.

    Near-duplicates (equal text but for case, width and white space) never stand in two splits;
    members that find no room in their group's split are left out altogether.

    Args:
        texts: What makes an example the same as another, one each.
        sizes: See ``split_sizes``.
        seed: Seed of the order.
        name: The evaluator, for messages.
        strata: One label an example.

    Returns:
        ``search``, ``validation``, ``test``, and ``rest``: examples that are no near-duplicate of
        one in a split; few-shot examples may come from there.

    Raises:
        EvaluationError: A split is empty or they need more examples than there are.
    """
    groups = order_examples(texts, seed=seed, strata=strata)
    counts = split_sizes(sizes, len(texts), name)
    search, groups = _take(groups, counts["search"])
    test, groups = _take(groups[::-1], counts["test"])
    validation, groups = _take(groups, counts["validation"])
    if min(len(search), len(test), len(validation)) == 0 or len(validation) < counts["validation"]:
        distinct = len({normalise_text(text) for text in texts})
        raise EvaluationError(
            f"evaluator {name!r} has {len(texts)} examples, {distinct} of them distinct, and its "
            f"splits want {sum(counts.values())} without a near-duplicate in two splits. Ask for "
            "fewer, or remove duplicates."
        )
    rest = [index for group in groups[::-1] for index in group]
    return {"search": search, "validation": validation, "test": test, "rest": rest}


def _take(groups: Sequence[list[int]], count: int) -> tuple[list[int], list[list[int]]]:
    """Return the first ``count`` members and the groups that none of them is from."""
    taken: list[int] = []
    used = 0
    while len(taken) < count and used < len(groups):
        taken += groups[used]
        used += 1
    return taken[:count], list(groups[used:])
