"""Runs in other trackers: each gets what the ledger holds, and nothing is read back."""
