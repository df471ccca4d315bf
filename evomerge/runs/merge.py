"""One merge from a recipe or mergekit file to a checkpoint: what ``evomerge merge`` does."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import evomerge
from evomerge.config import dump_yaml, read_yaml
from evomerge.errors import EvomergeError, MergeError, ModelError
from evomerge.merging.engine import Merger
from evomerge.merging.registry import METHODS
from evomerge.merging.stream import merge_to_disk
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.hub import locate
from evomerge.models.licences import conflicts, licence_of
from evomerge.models.lock import lock_folder
from evomerge.models.tokenizers import chat_template, vocabulary_difference
from evomerge.models.writer import MAX_SHARD_BYTES
from evomerge.recipes.files import load_recipe
from evomerge.recipes.mergekit import import_mergekit, is_mergekit
from evomerge.recipes.recipe import Recipe, Source
from evomerge.runs.reading.route import card_section

logger = logging.getLogger(__name__)

RECIPE_FILE = "recipe.yaml"


@dataclass(frozen=True)
class Merged:
    """What a merge wrote.

    Args:
        out: The checkpoint.
        recipe_hash: Hash of its recipe.
        methods: Methods of its stages, in order.
        n_tensors: Number of tensors.
        n_bytes: Bytes of all tensors.
        licences: What stands against passing it on, one line each.
        n_steps: Number of steps of its route, 0 where it has none.
    """

    out: Path
    recipe_hash: str
    methods: tuple[str, ...]
    n_tensors: int
    n_bytes: int
    licences: tuple[str, ...]
    n_steps: int = 0


def merge_file(file: Path, out: Path, *, max_shard_bytes: int = MAX_SHARD_BYTES) -> Merged:
    """Merge the recipe in ``file`` into the new folder ``out``.

    Args:
        file: A recipe (canonical or short form) or an unchanged mergekit file; YAML or JSON. Its
            paths are relative to the working folder.
        out: The new folder.
        max_shard_bytes: A shard holds at most so many bytes of tensors.

    Raises:
        EvomergeError: The file has mistakes, a source can't be had, the sources don't fit each
            other, or ``out`` exists or can't be written; then nothing is left there.
    """
    opened = _Sources()
    with _naming(file, MergeError, ModelError):
        recipe = _read(file, opened)
        sources = {source.name: source for source in recipe.sources}
        checkpoints = {name: opened.checkpoint(s.path, s.revision) for name, s in sources.items()}
    merger = Merger(checkpoints, sources)
    licences = {name: licence_of(checkpoints[name].folder) for name in sources}
    with _naming(file, MergeError):  # a ModelError is about the new folder here
        specs = merger.specs(recipe)
        route, pictures = card_section(recipe.to_dict())
        merge_to_disk(
            recipe,
            merger,
            out,
            extra_files={
                "README.md": _card(recipe, licences, route),
                **pictures,
                RECIPE_FILE: dump_yaml(recipe.to_dict()),
            },
            max_shard_bytes=max_shard_bytes,
        )
    return Merged(
        out=out,
        recipe_hash=recipe.hash(),
        methods=tuple(stage.method for stage in recipe.stages),
        n_tensors=len(specs),
        n_bytes=sum(spec.n_bytes for spec in specs),
        licences=tuple(conflicts(licences)),
        n_steps=len(recipe.dataflow.steps) if recipe.dataflow else 0,
    )


@contextlib.contextmanager
def _naming(file: Path, *kinds: type[EvomergeError]) -> Iterator[None]:
    """Begin each line of an error of ``kinds`` with the file that the user gave."""
    try:
        yield
    except kinds as error:
        lines = [line.removeprefix(f"{file}: ") for line in str(error).splitlines() if line]
        raise type(error)("\n".join(f"{file}: {line}" for line in lines)) from error


@dataclass
class _Sources:
    """Sources by path and revision, each found and opened once."""

    _opened: dict[tuple[str, str | None], tuple[Checkpoint, str | None]] = field(
        default_factory=dict
    )

    def checkpoint(self, path: str, revision: str | None) -> Checkpoint:
        return self._open(path, revision)[0]

    def count_layers(self, path: str, revision: str | None) -> int:
        return self._open(path, revision)[0].n_layers

    def locate(self, name: str, path: str, revision: str | None) -> Source:
        """Return the source with the hash of what is there now."""
        checkpoint, commit = self._open(path, revision)
        lock = lock_folder(checkpoint.folder)
        return Source(
            name=name,
            path=path,
            sha256=lock.sha256,
            revision=commit,
            tokenizer_sha256=lock.tokenizer_sha256,
        )

    def _open(self, path: str, revision: str | None) -> tuple[Checkpoint, str | None]:
        if (path, revision) not in self._opened:
            located = locate(path, revision)
            opened = (Checkpoint.open(located.folder), located.revision)
            # The recipe that comes out names the commit.
            self._opened[path, revision] = self._opened[path, located.revision] = opened
        return self._opened[path, revision]


def _read(file: Path, opened: _Sources) -> Recipe:
    """Return the recipe in ``file``, whichever kind it is."""
    raw = read_yaml(file)
    if not is_mergekit(raw):
        return load_recipe(file, METHODS.declarations(), locate_source=opened.locate)
    imported = import_mergekit(
        raw,
        METHODS.declarations(),
        locate_source=opened.locate,
        count_layers=opened.count_layers,
        where=str(file),
    )
    if imported.union_tokenizer:
        _check_one_vocabulary(imported.recipe, opened, file)
    if imported.auto_template:
        _compare_templates(imported.recipe, opened, file)
    for item in imported.ignored:
        logger.warning("%s: %s: %s", file, item.key, item.message)
    return imported.recipe


def _compare_templates(recipe: Recipe, opened: _Sources, file: Path) -> None:
    """Warn where mergekit could take another chat template than the tokenizer's source has."""
    found = {
        source.name: chat_template(opened.checkpoint(source.path, source.revision).folder)
        for source in recipe.sources
    }
    kept = recipe.tokenizer or recipe.base
    others = [name for name, text in found.items() if text and text != found[kept]]
    if others:
        logger.warning(
            "%s: chat_template: auto keeps that of %s, where mergekit takes the commonest; other "
            "ones: %s",
            file,
            kept,
            ", ".join(others),
        )


def _check_one_vocabulary(recipe: Recipe, opened: _Sources, file: Path) -> None:
    """Refuse a union of vocabularies that differ: it would need new embedding rows."""
    base = recipe.source(recipe.base)
    folder = opened.checkpoint(base.path, base.revision).folder
    for source in recipe.sources:
        other = opened.checkpoint(source.path, source.revision).folder
        if difference := vocabulary_difference(folder, other):
            raise MergeError(
                f"{file}: the tokenizer shall be a union, but those of {base.path} and "
                f"{source.path} differ: {difference} Choose sources of one vocabulary, or one "
                "source's tokenizer."
            )


def _card(recipe: Recipe, licences: Mapping[str, str | None], route: str) -> str:
    """Return the model card of a merge that no search made, ``route`` a section of its own."""
    stated = set(licences.values())
    matter: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["evomerge", "merge"],
        "license": (next(iter(stated)) if len(stated) == 1 else None) or "other",
    }
    rows = [
        "| name | path | revision | sha256 | licence |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {s.name} | {s.path} | {s.revision or ''} | {s.sha256} | {licences[s.name] or ''} |"
            for s in recipe.sources
        ),
    ]
    warnings = [f"- {line}" for line in conflicts(licences)]
    parts = [
        f"---\n{dump_yaml(matter)}---\n",
        f"# A merge of {len(recipe.sources)} models\n",
        f"Made by evomerge {evomerge.__version__}; `evomerge merge {RECIPE_FILE} --out DIR` makes "
        "it again.\n",
        "## Sources\n",
        "\n".join([*rows, "", *warnings]) + "\n",
        *([route] if route else []),
        f"## Recipe\n\nHash `{recipe.hash()}`.\n",
        f"```yaml\n{dump_yaml(recipe.to_dict())}```\n",
    ]
    return "\n".join(parts)
