"""Every model type that transformers' auto classes know, built tiny at random and tried with prompts at every site.

    python -m benchmarks.sweep                # the types that the results lack, then the pages' tables
    python -m benchmarks.sweep opt masked/esm # these, whatever the results have
    python -m benchmarks.sweep --fresh        # all of them
    python -m benchmarks.sweep --tables       # none: the tables alone

A type takes some seconds, and all of them about half an hour on two cores. Each stands in a process of its own; what is
found goes to benchmarks/results/sweep.jsonl at once, so that a run that was stopped goes on where it was. What is
checked, and how, stands in docs/model_types.md, which is written here, as is the table in docs/backbones.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from .build import ModelType, all_types
from .children import run
from .pages import write_pages
from .results import NOW, add, read, write


def asked_for(words: list[str], known: set[ModelType], fresh: bool) -> list[ModelType]:
    """The types that some words name, each once; without words those that are not known.

    Raises:
        SystemExit: a word names none.
    """
    if not words:
        return [one for one in all_types() if fresh or one not in known]
    unknown = [word for word in words if not any(word in (one.name, one.kind, str(one)) for one in all_types())]
    if unknown:
        raise SystemExit(f"no such type: {', '.join(unknown)}")
    return [one for one in all_types() if {one.name, one.kind, str(one)} & set(words)]


def main() -> None:
    """Try types and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("types", nargs="*", help="a type, KIND/TYPE, or a kind; default: what the results lack")
    parser.add_argument("--fresh", action="store_true", help="try again what the results have")
    parser.add_argument("--tables", action="store_true", help="try none, write the pages' tables")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--out", type=Path, default=NOW, help="results; pages are written of the usual file alone")
    options = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    types = [] if options.tables else asked_for(options.types, set(read(options.out)), options.fresh)
    for number, one in enumerate(run(types, options.jobs), start=1):
        add(options.out, one)
        told = [f"{name}: {found.word}: {found.note}" for name, found in one.checks.items() if found.word == one.worst]
        print(f"{number}/{len(types)} {one.asked} {one.worst if one.worst == 'holds' else told}"[:400], flush=True)
    if types:
        write(options.out, read(options.out).values())
    if options.out == NOW:
        write_pages()


if __name__ == "__main__":
    sys.exit(main())
