"""Write the generated references: docs/run-file.md, docs/plugins.md and configs/schema.json."""

import json
from pathlib import Path

from evomerge.cli.reference import plugins_reference, run_file_reference
from evomerge.config import json_schema

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Write all three, and name them."""
    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    for path, text in (
        ("docs/run-file.md", run_file_reference()),
        ("docs/plugins.md", plugins_reference()),
        ("configs/schema.json", schema),
    ):
        (ROOT / path).write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
