"""The ledger's rows as plain frozen types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation.intervals import Estimate
from evomerge.execution.protocol import BlockRef, Failure
from evomerge.runs.events import Event


@dataclass(frozen=True)
class RunRow:
    """A run as it was started.

    Args:
        run_id: 32 hex digits.
        name: The user's name for it; not unique in a ledger.
        started_s: Seconds since 1970.
        config: The resolved run file.
        sources: Name → ``path``, ``sha256``, ``revision``, ``tokenizer_sha256``, ``licence``.
        tasks: Name → ``type``, ``fingerprint``, ``primary``, ``block_size``, ``metrics``, ``n``.
        space: The search space's plain form.
        starts: ``(label, genome)`` of generation 0.
        versions: Package → version.
        plugins: ``(path, sha256)`` of plug-ins loaded by path.
        reuse: Scores of other runs may be reused.
    """

    run_id: str
    name: str
    started_s: float
    config: Mapping[str, Any]
    sources: Mapping[str, Mapping[str, Any]]
    tasks: Mapping[str, Mapping[str, Any]]
    space: Mapping[str, Any]
    starts: Sequence[tuple[str, Mapping[str, Any]]]
    versions: Mapping[str, str]
    plugins: Sequence[tuple[str, str]]
    reuse: bool


@dataclass(frozen=True)
class CandidateRow:
    """A candidate.

    Args:
        candidate_id: ``ASK-INDEX``, or ``ref-NAME`` or ``uniform`` for a reference.
        ask, place: Which ask it came from, and its index there; −1 and a running number for a
            reference.
        kind: ``search`` or ``reference``.
        origin: Searcher, ``warm:LABEL``, or the reference's label.
        parents: Ids of the candidates it was made from.
        genome: Gene → value; None for a reference.
        recipe_hash: Hash of its recipe.
    """

    candidate_id: str
    ask: int
    place: int
    kind: str
    origin: str
    parents: tuple[str, ...]
    genome: Mapping[str, Any] | None
    recipe_hash: str


@dataclass(frozen=True)
class AttemptRow:
    """One try at scoring a candidate on a split; ``attempt_id`` grows in commit order."""

    attempt_id: int
    candidate_id: str
    split: str
    number: int
    failure: Failure | None
    merge_s: float
    score_s: float
    worker: str
    numeric_class: str
    reused: bool
    finished_s: float
    tokenise_s: float = 0.0
    wait_s: float = 0.0
    busy_s: float = 0.0
    devices: float = 1.0
    lost: bool = False


@dataclass(frozen=True)
class DecisionRow:
    """A decision of the run: ask, tell, extend, final, open_test or stop."""

    sequence: int
    kind: str
    body: Mapping[str, Any]
    made_s: float


@dataclass(frozen=True)
class LeaseRow:
    """An attempt that was handed out, by the driver of that ``epoch``."""

    candidate_id: str
    split: str
    number: int
    epoch: int
    granted_s: float


STOPPING = ("pause", "cancel")
"""Requests that end the driver: once what runs has finished, or at once."""


@dataclass(frozen=True)
class RequestRow:
    """What another process says of a run.

    ``scale`` asks its driver for ``{"workers": n}``, those of ``STOPPING`` ask it to end; ``talk``
    is a prompt to models of the run; ``note`` and ``star`` are remarks on a candidate, which nobody
    answers.
    """

    sequence: int
    kind: str
    body: Mapping[str, Any]
    made_s: float


@dataclass(frozen=True)
class ReplyRow:
    """That a model has begun to answer a talk, or has ended.

    Args:
        talk: Sequence of the request.
        model: A candidate's id, or ``ref-NAME`` for a source.
        state: ``begun``, ``done`` or ``failed``.
        text: The answer, or why there is none.
        facts: ``n_tokens``, ``capped``, ``truncated``, ``templated``, ``merge_s``, ``answer_s`` of
            one that is done.
        worker: Who answers.
        at_s: Seconds since 1970.
    """

    talk: int
    model: str
    state: str
    text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    worker: str = ""
    at_s: float = 0.0


@dataclass(frozen=True)
class Block:
    """All scores of one block, on their way to or from the ledger.

    Args:
        ref: Which block.
        cache_key: Key under which other candidates find it.
        values: Metric → per-example values, shape ``(n, width)``.
        answers: One an example, where they were kept.
        reused: It was found in the ledger.
    """

    ref: BlockRef
    cache_key: str
    values: Mapping[str, NDArray[np.float64]]
    answers: Sequence[str | None] | None = None
    reused: bool = False


@dataclass(frozen=True)
class AttemptRecord:
    """One finished attempt, on its way to the ledger; a failed one has no blocks.

    ``lost`` says that it failed with its worker and is to be tried again.
    """

    candidate_id: str
    split: str
    number: int
    failure: Failure | None
    merge_s: float = 0.0
    score_s: float = 0.0
    worker: str = ""
    numeric_class: str = ""
    reused: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)
    tokenise_s: float = 0.0
    wait_s: float = 0.0
    busy_s: float = 0.0
    devices: float = 1.0
    lost: bool = False


@dataclass(frozen=True)
class FinishedAttempt:
    """A finished attempt with all that goes into its commit.

    Args:
        record: The attempt.
        blocks: Its scores; none where it failed.
        estimates: (task, metric) → estimate.
        event: Tells of it.
    """

    record: AttemptRecord
    blocks: Sequence[Block]
    estimates: Mapping[tuple[str, str], Estimate]
    event: Event | None
