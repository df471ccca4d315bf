"""Prompts of people on their way to a worker, behind the search; nothing of that depends on them.

One answer at a time is with the executor, queued after the candidates that wait there already. It
counts for no budget, is never among the attempts, and its failure is the answer's alone.
"""

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from evomerge.errors import EvomergeError
from evomerge.execution.protocol import LOST, Executor, Job, Outcome
from evomerge.runs.driver.dispatch import Dispatcher
from evomerge.runs.driver.patience import Patience
from evomerge.runs.driver.plan import Plan
from evomerge.runs.events import Event
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import ReplyRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.talks import (
    TRIES,
    Addressee,
    Talk,
    given_up,
    prompt_for,
    read_talks,
    recipe_of,
    reply_to,
    unanswered,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Waiting:
    """An answer that is to be made; ``begun``: how often that was begun already."""

    talk: Talk
    item: Addressee
    begun: int


class Talks:
    """Has prompts answered, those first that an earlier driver left.

    Args:
        records: The run's rows.
        writer: Writes replies.
        patience: Reads and writes a ledger that may be away.
        dispatcher: Gives what the executor said to prompts.
        plan: Which executor there is, and how recipes are read.
    """

    def __init__(
        self,
        records: RunRecords,
        writer: RunWriter,
        patience: Patience,
        dispatcher: Dispatcher,
        plan: Plan,
    ) -> None:
        self._records = records
        self._writer = writer
        self._patience = patience
        self._dispatcher = dispatcher
        self._executor: Executor = plan.executor
        self._read_recipe, self._references = plan.read_recipe, plan.references
        self._queue: deque[_Waiting] = deque()
        self._flying: _Waiting | None = None
        self._seen = 0

    @property
    def running(self) -> bool:
        """An answer is with the executor."""
        return self._flying is not None

    @property
    def waiting(self) -> bool:
        """There is something to answer."""
        return self.running or bool(self._queue)

    def take_up(self) -> Iterator[Event]:
        """Queue what was asked since the last time."""
        seen = self._seen
        fresh = yield from self._patience.read(lambda: read_talks(self._records, after=seen))
        if not fresh:
            return
        self._seen = fresh[-1].number
        numbers = [talk.number for talk in fresh]
        replies = yield from self._patience.read(lambda: self._records.replies(numbers))
        self._queue.extend(_Waiting(*found) for found in unanswered(fresh, replies))

    def hand_out(self) -> Iterator[Event]:
        """Give the executor the next prompt, unless it has one."""
        while self._queue and self._flying is None:
            waiting = self._queue.popleft()
            talk, model = waiting.talk, waiting.item.model
            if waiting.begun >= TRIES:
                yield from self._store(given_up(talk, model))
                continue
            try:
                job = yield from self._patience.read(partial(self._job, waiting))
            except EvomergeError as error:
                yield from self._store(ReplyRow(talk.number, model, "failed", str(error)))
                continue
            yield from self._store(ReplyRow(talk.number, model, "begun"))
            self._flying = waiting
            self._executor.submit(job)

    def settle(self) -> Iterator[Event]:
        """Store what has been answered."""
        for outcome in self._dispatcher.take_replies():
            waiting = self._flying
            if waiting is None or outcome.job.prompt is None:
                continue
            self._flying = None
            if self._may_try_again(waiting, outcome):
                again = _Waiting(waiting.talk, waiting.item, waiting.begun + 1)
                self._queue.appendleft(again)
                continue
            row = reply_to(waiting.talk, waiting.item.model, outcome)
            if row.state == "failed":
                logger.warning("talk %d: %s: %s", row.talk, row.model, row.text)
            yield from self._store(row)

    def _may_try_again(self, waiting: _Waiting, outcome: Outcome) -> bool:
        failure = outcome.failure
        return failure is not None and failure.kind == LOST and waiting.begun + 1 < TRIES

    def _job(self, waiting: _Waiting) -> Job:
        """Return the job of an answer.

        Raises:
            EvomergeError: The model's recipe can't be had.
        """
        assert self._read_recipe is not None, "a run whose models talk can read their recipes"
        item = waiting.item
        recipe = recipe_of(item, self._records, self._read_recipe, self._references)
        prompt = prompt_for(waiting.talk, item.model, self._records)
        return Job(item.model, waiting.begun + 1, recipe, (), prompt=prompt)

    def _store(self, row: ReplyRow) -> Iterator[Event]:
        yield from self._patience.write(lambda: self._writer.add_reply(row))
