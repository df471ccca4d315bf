"""Loads pyribs when it is needed, as plain numpy."""

import importlib
from types import ModuleType

from evomerge.errors import MissingExtraError


def load_pyribs() -> ModuleType:
    """Return the module ``ribs``, with its archives and emitters.

    Its two compiled functions work on matrices of a population: compiling them takes 8 s a process
    and gains nothing.

    Raises:
        MissingExtraError: It isn't installed.
    """
    try:
        config = importlib.import_module("numba").config
        before, config.DISABLE_JIT = config.DISABLE_JIT, True
        try:
            return importlib.import_module("ribs")
        finally:
            config.DISABLE_JIT = before
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "pyribs is not installed, which cma_me and cma_mae need. Install it with: pip install "
            "'evomerge[qd]', or use the searcher map_elites."
        ) from error
