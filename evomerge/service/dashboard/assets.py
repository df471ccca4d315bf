"""Files that browsers load, under an address that changes with their content."""

import functools
import hashlib
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse

STATIC = Path(__file__).parent / "static"
MODULES = "evomerge/"
"""How scripts name each other: ``import { get } from "evomerge/api.js"``."""
PLOTLY = "plotly.min.js"
"""Name of the chart library among the files."""

_FOR_GOOD = "public, max-age=31536000, immutable"
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def plotly_file() -> Path:
    """Return the chart library, as the package plotly brings it."""
    return Path(str(files("plotly") / "package_data" / PLOTLY))


@functools.cache
def root() -> str:
    """Return the address of the files, with a hash of what they hold."""
    found = hashlib.sha256()
    for path in [*_files(), plotly_file()]:
        found.update(path.name.encode())
        found.update(path.read_bytes())
    return f"/assets/{found.hexdigest()[:16]}"


def install(app: FastAPI) -> None:
    """Serve the files from ``app``; browsers keep them for good."""
    known = {path.relative_to(STATIC).as_posix(): path for path in _files()}
    known[PLOTLY] = plotly_file()

    @app.get(root() + "/{name:path}", include_in_schema=False)
    def asset(name: str) -> FileResponse:
        if name not in known:
            raise HTTPException(404, "there is no such file.")
        kind = _KINDS.get(known[name].suffix)
        return FileResponse(known[name], media_type=kind, headers={"Cache-Control": _FOR_GOOD})


def _files() -> list[Path]:
    return sorted(path for path in STATIC.rglob("*") if path.is_file())
