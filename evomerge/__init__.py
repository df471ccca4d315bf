"""evomerge searches for the best way to merge language models."""

__version__ = "0.1.0"
