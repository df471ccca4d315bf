"""Merging: recipes become weights, in place or on disk.

The engine (``engine.Merger``) and ``stream.merge_to_disk`` need torch and are imported
by their path.
"""

from evomerge.merging.registry import METHODS, MergeMethod, merge_method

__all__ = ["METHODS", "MergeMethod", "merge_method"]
