"""Both kinds of database: every test that takes ``ledger_url`` runs on each."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evomerge.runs.ledger.database import Ledger

Opener = Callable[..., Ledger]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def open_ledger(ledger_url: str) -> Iterator[Opener]:
    """Open the database once more, with the options of ``Ledger.open``; closed after the test."""
    with contextlib.ExitStack() as stack:

        def opened(**options: bool) -> Ledger:
            return stack.enter_context(contextlib.closing(Ledger.open(ledger_url, **options)))

        yield opened


@pytest.fixture
def ledger(open_ledger: Opener) -> Ledger:
    """A fresh ledger."""
    return open_ledger(create=True)
