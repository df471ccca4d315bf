"""What an earlier driver left behind: outcomes on the disk, and leases that nobody works on."""

from collections.abc import Iterator

from evomerge.execution.protocol import LOST, Failure, Outcome
from evomerge.runs.driver.dialogue import Dialogue
from evomerge.runs.driver.dispatch import Dispatcher
from evomerge.runs.driver.scoring import Scored
from evomerge.runs.driver.spool import Spool
from evomerge.runs.driver.state import VALIDATION, SearchState

_BLAME = Failure(LOST, "the run's own process ended while this candidate was scored in it")


def left_behind(
    state: SearchState, spool: Spool, dialogue: Dialogue, dispatcher: Dispatcher, *, attempts: int
) -> Iterator[Scored]:
    """Yield what has to be committed before the run goes on.

    Outcomes that waited for the ledger, unless their candidate is settled by now; then candidates
    that have ended so many drivers that they get no further attempt.

    Args:
        state: Where the search stands; kept up between the yields.
        spool: The outcomes.
        dialogue: Knows the candidates' recipes.
        dispatcher: Takes outcomes in.
        attempts: Attempts that a candidate gets.
    """
    for kept in spool.read():
        row = state.candidates.get(kept.candidate_id)
        if row is None or state.settled(kept.candidate_id, kept.split):
            spool.drop(kept.candidate_id, kept.split, kept.number)
            continue
        answers = kept.split == VALIDATION
        pending = dialogue.pending(row, kept.split, number=kept.number, keep_answers=answers)
        yield dispatcher.landed(pending, kept.outcome)
    last = {(name, split): number for name, split, number in state.orphans}
    for (name, split), number in last.items():
        row = state.candidates.get(name)
        if row is None or state.settled(name, split) or state.lost[name, split] < attempts:
            continue
        pending = dialogue.pending(row, split, number=number)
        yield dispatcher.landed(pending, lambda job: Outcome(job, failure=_BLAME))
