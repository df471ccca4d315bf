"""Recipe files: a recipe's canonical form, or the short form that people write by hand.

The short form has the keys of a run file's ``recipe`` block beside ``sources`` and ``base``::

    base: base
    sources: {base: {path: demo/base}, sort: {path: demo/sort}}
    parameters:
      - {method: task_arithmetic, inputs: [sort], weights: 0.7}
    dtype: float32
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evomerge.config.yaml_text import dump_yaml, read_yaml
from evomerge.errors import EvomergeError, Problem, ProblemsError, nearest
from evomerge.recipes.build import RecipeSpec, build_recipe
from evomerge.recipes.declarations import Declaration
from evomerge.recipes.recipe import SCHEMA_VERSION, Recipe, Source

LocateSource = Callable[[str, str, str | None], Source]
"""(name, path, revision) → the source with its hash, or an EvomergeError."""

HEAD_KEYS = ("sources", "base", "parameters", "dtype", "tokenizer", "seed", "dataflow")
RUN_FILE_KEYS = ("recipe", "evaluators", "objectives", "search")
SOURCE_KEYS = ("path", "revision", "sha256", "tokenizer_sha256", "trust_remote_code")


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write ``recipe`` in canonical form; the file appears whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(dump_recipe(recipe), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def dump_recipe(recipe: Recipe) -> str:
    """Return the canonical form of ``recipe`` as YAML."""
    return dump_yaml(recipe.to_dict())


def load_recipe(
    file: Path | Mapping[str, Any],
    declarations: Mapping[str, Declaration],
    *,
    locate_source: LocateSource | None = None,
) -> Recipe:
    """Return the recipe of a file in canonical or short form; mergekit files have their own module.

    Args:
        file: YAML or JSON file, or its content.
        declarations: Methods by name.
        locate_source: Finds a source and its hash. The canonical form holds hashes: with
            ``locate_source`` they are compared with what is found, without it they are believed.

    Raises:
        ConfigError: The file can't be read.
        ProblemsError: All mistakes at once.
    """
    where = "" if isinstance(file, Mapping) else str(file)
    raw = file if isinstance(file, Mapping) else read_yaml(file)
    if not isinstance(raw, Mapping):
        problem = Problem("", f"got {type(raw).__name__}, expected a recipe: sources, parameters.")
        raise ProblemsError(where, [problem])
    if message := _other_kind(raw):
        raise ProblemsError(where, [Problem("", message)])
    problems = _check_keys(raw)
    sources = _sources(raw.get("sources"), locate_source, problems)
    stages = raw.get("parameters", [])
    if not isinstance(stages, (list, tuple)):
        problems.append(Problem("parameters", f"got {stages!r}, expected a list of stages."))
        stages = []
    spec = RecipeSpec(
        sources=tuple(sources),
        base=raw.get("base"),
        stages=tuple(stages),
        dtype=raw.get("dtype"),
        tokenizer=raw.get("tokenizer"),
        seed=raw.get("seed", 0),
        dataflow=raw.get("dataflow"),
        where=where,
        key="parameters",
    )
    try:
        recipe = build_recipe(spec, declarations)
    except ProblemsError as error:
        raise ProblemsError(where, [*problems, *error.problems]) from None
    if problems:
        raise ProblemsError(where, problems)
    return recipe


def is_mergekit(raw: Any) -> bool:
    """Tell whether plain data looks like a mergekit file."""
    return isinstance(raw, Mapping) and "merge_method" in raw


def _other_kind(raw: Mapping[str, Any]) -> str | None:
    """Return what to do with a file that was never meant as a recipe, or None."""
    if is_mergekit(raw):
        return (
            "is a mergekit file, expected an evomerge recipe. Mergekit files are for "
            "'evomerge merge', whose result holds the recipe to give here: recipe.yaml."
        )
    if not raw.keys().isdisjoint(RUN_FILE_KEYS):
        return "is a run file, expected a recipe. Use 'evomerge run' for it."
    return None


def _check_keys(raw: Mapping[str, Any]) -> list[Problem]:
    problems = [
        Problem(str(key), f"unknown key; {nearest(str(key), HEAD_KEYS)}")
        for key in raw
        if key not in (*HEAD_KEYS, "evomerge_recipe")
    ]
    version = raw.get("evomerge_recipe", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        message = f"got {version!r}; this evomerge reads version {SCHEMA_VERSION}. Update evomerge."
        problems.append(Problem("evomerge_recipe", message))
    if not raw.get("sources"):
        problems.append(Problem("sources", "missing. Give at least one: NAME: {path: FOLDER}."))
    return problems


def _sources(raw: Any, locate: LocateSource | None, problems: list[Problem]) -> list[Source]:
    """Return the sources; those with a mistake keep their name, so that no more mistakes follow."""
    if raw and not isinstance(raw, Mapping):
        problems.append(Problem("sources", f"got {raw!r}, expected NAME: {{path: FOLDER}}."))
    sources = []
    for name, item in (raw if isinstance(raw, Mapping) else {}).items():
        key = f"sources.{name}"
        fields = {"path": item} if isinstance(item, str) else item
        if not isinstance(fields, Mapping) or not isinstance(fields.get("path"), str):
            problems.append(Problem(key, f"got {item!r}, expected {{path: FOLDER}}."))
            sources.append(Source(str(name), "", ""))
            continue
        problems += [
            Problem(f"{key}.{extra}", f"unknown key; {nearest(str(extra), SOURCE_KEYS)}")
            for extra in fields
            if extra not in SOURCE_KEYS
        ]
        sources.append(_source(str(name), fields, locate, key, problems))
    return sources


def _source(
    name: str,
    fields: Mapping[str, Any],
    locate: LocateSource | None,
    key: str,
    problems: list[Problem],
) -> Source:
    written = Source(
        name=name,
        path=fields["path"],
        sha256=str(fields.get("sha256") or ""),
        revision=fields.get("revision"),
        tokenizer_sha256=str(fields.get("tokenizer_sha256") or ""),
        trust_remote_code=fields.get("trust_remote_code") is True,
    )
    if locate is None:
        if not written.sha256:
            problems.append(Problem(f"{key}.sha256", "missing. Give the content's hash."))
        return written
    try:
        found = locate(name, written.path, written.revision)
    except EvomergeError as error:
        problems.append(Problem(key, str(error)))
        return written
    for part in ("sha256", "tokenizer_sha256"):
        wanted, got = getattr(written, part), getattr(found, part)
        if wanted and wanted != got:
            message = f"{written.path} has {got[:12]}…, the recipe was made with {wanted[:12]}…. "
            mend = "Give the folder of the same content, or remove this key to use the new one."
            problems.append(Problem(f"{key}.{part}", message + mend))
    return Source(
        name=name,
        path=found.path,
        sha256=found.sha256,
        revision=found.revision,
        tokenizer_sha256=found.tokenizer_sha256,
        trust_remote_code=written.trust_remote_code,
    )
