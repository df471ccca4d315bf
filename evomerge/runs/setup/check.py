"""A run file read with all its mistakes at once: those of its shape and those in its names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evomerge.config.load import ShapeError, parse_config
from evomerge.config.run import RunConfig
from evomerge.config.yaml_text import read_yaml
from evomerge.errors import ConfigError, EvomergeError, ProblemsError
from evomerge.runs.setup.prepare import prepare


def load_checked(
    path: Path, overrides: Sequence[str] = (), *, plugins: Sequence[Path] = ()
) -> RunConfig:
    """Return the run file ``path``; where its shape is wrong, its names are looked at too.

    Args:
        path: The run file.
        overrides: ``KEY=VALUE``, as ``--set`` takes them.
        plugins: Plug-in files that names may come from.

    Raises:
        ConfigError: The file can't be read, or has mistakes in its shape: these and, as far as they
            can be told then, those in its names. Names alone are left to ``prepare``.
    """
    return parse_checked(read_yaml(path), overrides, where=str(path), plugins=plugins)


def parse_checked(
    raw: Any, overrides: Sequence[str] = (), *, where: str, plugins: Sequence[Path] = ()
) -> RunConfig:
    """Return the run file whose plain data is ``raw``, as ``load_checked`` does.

    Raises:
        ConfigError: As ``load_checked``.
    """
    try:
        return parse_config(raw, where=where, overrides=overrides)
    except ShapeError as error:
        if error.rest is None:
            raise
        try:
            prepare(error.rest, where=error.where, plugins=plugins)
        except ProblemsError as names:
            both = dict.fromkeys([*error.problems, *names.problems])
            raise ConfigError(error.where, both) from None
        except EvomergeError:
            pass  # without its plug-ins nothing can be said about names
        raise
