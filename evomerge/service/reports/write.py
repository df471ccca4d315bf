"""Writes a report as one HTML file that asks nobody for anything."""

import os
from html import escape
from pathlib import Path

from pydantic_core import to_json

from evomerge.errors import EvomergeError
from evomerge.runs.report import Report
from evomerge.service.dashboard.assets import STATIC
from evomerge.service.reports.contents import contents_of
from evomerge.service.reports.modules import chart_library, import_map

STYLES = ("dashboard.css", "candidate.css", "report/report.css")

# Even a mistake in a script could load or send nothing.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; connect-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def write_report(path: Path, report: Report, out: Path) -> Path:
    """Write the report of the run in the folder ``path``.

    Args:
        path: The run's folder.
        report: Its table on the test split.
        out: The file; one that is there is replaced.

    Returns:
        The file.

    Raises:
        LedgerError: The run can't be read.
        EvomergeError: The file can't be written.
    """
    text = page_of(contents_of(path, report), title=report.name)
    try:
        _replace(out, text)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EvomergeError(
            f"the report can't be written to {out}: {reason}. Name another file with --out."
        ) from error
    return out


def page_of(contents: dict[str, object], *, title: str) -> str:
    """Return the page that shows ``contents``."""
    data = to_json(contents, inf_nan_mode="null").decode().replace("<", "\\u003c")
    style = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in STYLES)
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · evomerge report</title>
<style>
{style}
</style>
<script type="importmap">{import_map("report/main.js")}</script>
</head>
<body>
<main class="page report" id="report">
<noscript>This report draws its tables and charts with scripts, which are part of the file. Open it
in a browser that runs them.</noscript>
</main>
<script type="application/json" id="contents">{data}</script>
<script type="application/octet-stream" id="plotly">{chart_library()}</script>
<script type="module">import "evomerge/report/main.js";</script>
</body>
</html>
"""


def _replace(out: Path, text: str) -> None:
    """Write all of ``text`` or nothing."""
    out.parent.mkdir(parents=True, exist_ok=True)
    making = out.with_name(f".{out.name}-{os.getpid()}")
    try:
        making.write_text(text, encoding="utf-8")
        os.replace(making, out)
    except BaseException:
        making.unlink(missing_ok=True)
        raise
