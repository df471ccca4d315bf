"""The dashboard's scripts as part of a page: modules that name each other, and the charts' own."""

import base64
import gzip
import json
import re

from evomerge.service.dashboard.assets import MODULES, PLOTLY, STATIC, plotly_file

_NAMED = re.compile(rf'"{MODULES}([\w/]+\.js)"')


def import_map(entry: str) -> str:
    """Return an import map that holds the module ``entry`` and all that it needs, as addresses.

    Args:
        entry: Its path among the dashboard's files.
    """
    imports: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if MODULES + name in imports:
            continue
        text = (STATIC / name).read_text(encoding="utf-8")
        encoded = base64.b64encode(text.encode()).decode()
        imports[MODULES + name] = f"data:text/javascript;charset=utf-8;base64,{encoded}"
        waiting += _NAMED.findall(text)
    return json.dumps({"imports": dict(sorted(imports.items()))})


def chart_library() -> str:
    """Return the chart library, compressed, in letters."""
    assert plotly_file().name == PLOTLY
    return base64.b64encode(gzip.compress(plotly_file().read_bytes(), 9, mtime=0)).decode()
