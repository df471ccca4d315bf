"""A real PostgreSQL server for tests, with a fresh database a test, that can go away and come back.

It listens on a socket in a short folder of its own and belongs to the user ``postgres`` where the
tests run as root, which the server refuses. It ends with the test process, however that ends.
"""

import glob
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_USER = "evomerge"
_START_S = 30.0


class PostgresServer:
    """A server on a Unix socket.

    Args:
        binaries: Folder of ``initdb`` and ``postgres``.
        folder: Empty folder for data and socket; its path must be short.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._made: list[str] = []
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        options = ["-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(
            [*_as_owner(), str(binaries / "initdb"), "-D", str(folder / "data"), *options],
            check=True,
            capture_output=True,
            cwd="/",
        )

    def start(self) -> None:
        """Start, and return once it answers; a running one stays as it is."""
        import psycopg

        if self._process is not None:
            return
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "40",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "shared_buffers": "32MB",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data"), *options]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_owner(), *command],
                stdout=log,
                stderr=log,
                cwd="/",
            )
        deadline = time.monotonic() + _START_S
        while True:
            try:
                self._execute("SELECT 1")
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log_text = (self._folder / "server.log").read_text()
                    raise RuntimeError(f"PostgreSQL doesn't start:\n{log_text}") from error
                time.sleep(0.05)

    def stop(self, how: int = signal.SIGINT) -> None:
        """End the server and with it all connections; SIGQUIT ends it as a crash would."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def url(self, database: str) -> str:
        """Return the address of ``database`` as a run file gives it."""
        return f"postgresql://{_USER}@/{database}?host={self._folder}"

    def new_database(self) -> str:
        """Make an empty database and return its address."""
        name = f"test{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name}")
        self._made.append(name)
        return self.url(name)

    def drop_databases(self) -> None:
        """Remove what the test made, and whoever is still connected to it."""
        self.start()
        for name in self._made:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")
        self._made.clear()

    def _execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(
            host=str(self._folder), user=_USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def _server() -> Iterator[PostgresServer]:
    """The one server of all tests; absent where the machine has none."""
    binaries = _find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL's server isn't installed (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="evopg", dir="/tmp"))
    server = PostgresServer(binaries, folder)
    try:
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_server(_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, running; a test may stop and start it."""
    _server.start()
    yield _server
    _server.drop_databases()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """Address of a fresh, empty database."""
    return postgres_server.new_database()


def _find_binaries() -> Path | None:
    """Return the folder of the newest server on this machine."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=_version)
    on_path = shutil.which("initdb")
    initdb = found[-1] if found else on_path
    return Path(initdb).resolve().parent if initdb else None


def _version(initdb: str) -> float:
    return float(Path(initdb).parents[1].name)


def _as_owner() -> list[str]:
    """Return what to put before a command so that the server's owner runs it."""
    setpriv = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() != 0:
        return setpriv
    return [*setpriv, "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
