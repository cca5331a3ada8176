"""What the sweep found, a line a type, so that a run that stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .build import ModelType, all_types
from .verdict import HOLDS, UNKNOWN, Verdict, worst

HERE = Path(__file__).parent.parent / "results"
NOW, BEFORE = HERE / "sweep.jsonl", HERE / "sweep-before.jsonl"
BUILD = "build"  # the one check of a type that cannot be tried, with why


@dataclass(frozen=True)
class Found:
    """What was found of one type.

    Attributes:
        asked: the type.
        checks: by name, `METHOD CHECK`, or `BUILD` alone.
    """

    asked: ModelType
    checks: dict[str, Verdict]

    @property
    def built(self) -> bool:
        """Whether there was a model to try."""
        return BUILD not in self.checks

    @property
    def worst(self) -> str:
        """The worst word of all checks."""
        return worst([one.word for one in self.checks.values()])

    def of(self, *methods: str, generate: bool = False) -> dict[str, Verdict]:
        """The checks of some methods, in `generate` or elsewhere."""
        asked = {name: one for name, one in self.checks.items() if name.split()[0] in methods}
        return {name: one for name, one in asked.items() if ("generate" in name) == generate}

    def line(self) -> str:
        """As it is kept: notes only of what does not hold."""
        checks = {name: list(one) if one.word != HOLDS else [HOLDS] for name, one in self.checks.items()}
        return json.dumps({"kind": self.asked.kind, "type": self.asked.name, "checks": checks}, ensure_ascii=False)


def untried(asked: ModelType, why: str) -> Found:
    """A type of which there is no model to try."""
    return Found(asked, {BUILD: Verdict(UNKNOWN, why)})


def read(path: Path) -> dict[ModelType, Found]:
    """What is known so far; of a type that was tried again the last."""
    found: dict[ModelType, Found] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        one = json.loads(line)
        asked = ModelType(one["kind"], one["type"])
        found[asked] = Found(asked, {name: Verdict(*verdict) for name, verdict in one["checks"].items()})
    return {asked: found[asked] for asked in all_types() if asked in found}


def add(path: Path, one: Found) -> None:
    """Keep one type."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{one.line()}\n")


def write(path: Path, found: Iterable[Found]) -> None:
    """Keep these alone, a line each."""
    path.write_text("".join(f"{one.line()}\n" for one in found), encoding="utf-8")
