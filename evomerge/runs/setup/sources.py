"""The source models of a run file: found, opened, pinned by content."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evomerge.config.run import SourceConfig
from evomerge.errors import EvomergeError, Problem
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.finite import check_finite
from evomerge.models.hub import locate
from evomerge.models.licences import licence_of
from evomerge.models.lock import lock_folder
from evomerge.recipes.recipe import Source


@dataclass(frozen=True)
class OpenedSource:
    """A source on this machine.

    Args:
        source: As recipes hold it.
        folder: Where it lies.
        checkpoint: Opened, nothing read yet.
        licence: What it states.
    """

    source: Source
    folder: Path
    checkpoint: Checkpoint
    licence: str | None


def open_source(name: str, config: SourceConfig) -> OpenedSource:
    """Find, open and pin one source.

    Raises:
        ModelError: It can't be found or read, isn't safetensors, or holds NaN.
    """
    located = locate(config.path, config.revision)
    checkpoint = Checkpoint.open(located.folder)
    lock = lock_folder(located.folder)
    check_finite(checkpoint, lock.sha256)
    source = Source(
        name=name,
        path=config.path,
        sha256=lock.sha256,
        revision=located.revision,
        tokenizer_sha256=lock.tokenizer_sha256,
        trust_remote_code=config.trust_remote_code,
    )
    return OpenedSource(source, located.folder, checkpoint, licence_of(located.folder))


def open_sources(
    configs: Mapping[str, SourceConfig], problems: list[Problem]
) -> dict[str, OpenedSource]:
    """Open all sources; what is wrong with one is added to ``problems`` and it is left out."""
    opened = {}
    for name, config in configs.items():
        try:
            opened[name] = open_source(name, config)
        except EvomergeError as error:
            problems += [
                Problem(f"sources.{name}.path", line) for line in str(error).splitlines() if line
            ]
    return opened
