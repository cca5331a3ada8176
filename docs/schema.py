"""Keeps the published schema of `metrics.json` true to the model that writes the file.

The schema lies in the package; the pages have a copy of it.

    python -m docs.schema          # writes it
    python -m docs.schema --check  # says whether it is out of date, and exits with 1
"""

from __future__ import annotations

import sys

from softprompt.training.schema import PUBLISHED, schema_text


def main(arguments: list[str]) -> int:
    """Write the schema where it has changed, or with `--check` say so."""
    text = schema_text()
    if PUBLISHED.is_file() and PUBLISHED.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in arguments:
        print(f"out of date: {PUBLISHED.name}: run make schema")
        return 1
    PUBLISHED.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
