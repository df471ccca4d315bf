"""A run as its ledger tells it, for people and programs that only look."""
