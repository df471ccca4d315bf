"""Lets models of a run that nobody drives answer, in this process, with the workers' own code."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evomerge.config.run import RunConfig
from evomerge.errors import ConfigError, EvomergeError, LedgerAwayError, Problem
from evomerge.evaluation.conversation import Prompt
from evomerge.execution.protocol import Job, Outcome
from evomerge.execution.worker import Worker, WorkerSpec
from evomerge.models.cache import cache_dir
from evomerge.recipes.declarations import load_plugin_file
from evomerge.runs.asking import Question, addressees, prompt_of, with_best
from evomerge.runs.failpoints import failpoint
from evomerge.runs.folder import RunFolder
from evomerge.runs.ledger.database import Ledger
from evomerge.runs.ledger.records import RunRecords
from evomerge.runs.ledger.rows import ReplyRow
from evomerge.runs.ledger.writer import RunWriter
from evomerge.runs.reading.references import reference_recipes
from evomerge.runs.reading.results import status_of
from evomerge.runs.recipes import stored_recipe
from evomerge.runs.setup.sources import OpenedSource, open_sources
from evomerge.runs.start import changed_config, check_sources, stored_plugins
from evomerge.runs.talks import (
    TRIES,
    Addressee,
    given_up,
    prompt_for,
    read_talks,
    recipe_of,
    reply_to,
    unanswered,
)


@dataclass(frozen=True)
class _Opened:
    """A stored run file with its sources."""

    config: RunConfig
    sources: dict[str, OpenedSource]
    base: str


class Speaker:
    """The models of one run, built in this process one after the other.

    Args:
        folder: The run's folder.
        records: Its rows.

    Raises:
        LedgerError: A source or plug-in has changed since the run was started.
        ConfigError: A source can't be opened.
    """

    def __init__(self, folder: RunFolder, records: RunRecords) -> None:
        row = records.run()
        where = str(folder.config_file)
        config = changed_config(row.config, (), where=where)
        plugins = stored_plugins(row)
        for plugin in plugins:
            load_plugin_file(plugin)
        problems: list[Problem] = []
        sources = open_sources(config.sources, problems)
        if problems:
            raise ConfigError(where, problems)
        check_sources(row, sources)
        self._records = records
        self._opened = _Opened(config, sources, config.base or next(iter(sources)))
        self._worker: Worker | None = None

    def reply(self, item: Addressee, prompt: Prompt, attempt: int = 1) -> Outcome:
        """Return what a model says; failures are part of it.

        Raises:
            EvomergeError: Its recipe can't be had, or no worker can be built.
        """
        recipe = recipe_of(
            item, self._records, stored_recipe, lambda: reference_recipes(self._opened)
        )
        if self._worker is None:
            self._worker = self._spec().build()
        return self._worker.run(Job(item.model, attempt, recipe, (), prompt=prompt))

    def _spec(self) -> WorkerSpec:
        config, sources, base = self._opened.config, self._opened.sources, self._opened.base
        return WorkerSpec(
            folders={name: item.folder for name, item in sources.items()},
            sources=tuple(item.source for item in sources.values()),
            base=base,
            tokenizer=config.recipe.tokenizer or base,
            dtype=config.recipe.dtype,
            evaluators=(),
            device=config.execution.device,
            threads=config.execution.threads,
            cache_dir=cache_dir() / "statistics",
            prefix_bytes=0,
        )


def answer_talks(path: Path) -> int:
    """Answer what waits in the run in ``path``, unless a driver does; return how many answers.

    What came while it was at it is answered too. An answer that ended this process before is tried
    once more.

    Raises:
        EvomergeError: The run can't be read, or its models can't be built at all.
    """
    folder = RunFolder.open(path)
    n = 0
    with contextlib.closing(Ledger.open(folder.ledger)) as ledger:
        records, writer = RunRecords(ledger, folder.run_id), RunWriter(ledger, folder.run_id)
        speaker: Speaker | None = None
        while status_of(path).state != "running":
            talks = read_talks(records)
            waiting = unanswered(talks, records.replies())
            if not waiting:
                break
            talk, item, begun = waiting[0]
            if begun >= TRIES:
                writer.add_reply(given_up(talk, item.model))
                continue
            writer.add_reply(ReplyRow(talk.number, item.model, "begun"))
            failpoint("answer begun")
            try:
                speaker = speaker or Speaker(folder, records)
                prompt = prompt_for(talk, item.model, records)
                row = reply_to(talk, item.model, speaker.reply(item, prompt, begun + 1))
            except LedgerAwayError:
                raise  # nothing is wrong with the answer
            except EvomergeError as error:
                row = ReplyRow(talk.number, item.model, "failed", str(error))
            writer.add_reply(row)
            n += 1
    return n


def ask_here(path: Path, question: Question) -> Iterator[tuple[Addressee, Outcome]]:
    """Yield what each model says to ``question``; nothing is stored.

    Raises:
        EvomergeError: There is no such candidate, or the models can't be built.
    """
    folder = RunFolder.open(path)
    candidates = with_best(folder, question.candidates)
    with contextlib.closing(Ledger.open(folder.ledger, read_only=True)) as ledger:
        records = RunRecords(ledger, folder.run_id)
        models = addressees(records, question, candidates)
        prompt = prompt_of(question)
        speaker = Speaker(folder, records)
        for item in models:
            yield item, speaker.reply(item, prompt)
