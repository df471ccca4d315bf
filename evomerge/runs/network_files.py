"""Weights of evolved networks in a run's folder, apart from what needs torch."""

from collections.abc import Collection
from pathlib import Path

FOLDER = "networks"
"""Folder of a run in which the weights of living networks are."""


def prune(folder: Path, living: Collection[str]) -> None:
    """Remove the weights of networks that nothing will be made of; they can be built again.

    Args:
        folder: The run's folder.
        living: Hashes of the recipes to keep.
    """
    for file in (folder / FOLDER).glob("*.npy"):
        if file.stem not in living:
            file.unlink(missing_ok=True)
