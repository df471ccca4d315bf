"""Versions of the packages that decide what a run proposes and scores. Imports none of them."""

import importlib.metadata
import platform

import evomerge

PACKAGES = (
    "cma",
    "cmaes",
    "lm_eval",
    "numpy",
    "optuna",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
)


def versions_now() -> dict[str, str]:
    """Return package → installed version, evomerge and Python among them."""
    found = {"evomerge": evomerge.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    return found
