"""The ledger: the insert-only record of runs in a database, which is also their checkpoint.

``database`` opens it, ``tables`` is its schema, ``writer`` and ``records`` write and read a run's
rows.
"""
