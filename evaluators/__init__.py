"""Evaluators beyond the built-in ones; each file is a plug-in: ``--plugin evaluators/NAME.py``."""
