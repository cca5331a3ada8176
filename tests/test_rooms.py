"""Imports never run against the way of the data: sites know no method, methods no task, tasks no model and no training.

Every import counts, those inside functions and those for types alone as well.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import softprompt

ROOT = Path(softprompt.__file__).parent
# What the lowest rooms may import besides themselves and what everybody may.
LOW: dict[str, set[str]] = {
    "guards": set(),
    "files": set(),
    "backbones": {"files", "source", "embedded"},
    "sites": set(),
    "methods": {"sites", "storage"},
    "tasks": set(),
}
EVERYBODY = {"errors", "guards"}
# What may run whom: a room higher up is never imported by one below it.
ABOVE = {
    "storage": {"training", "explain", "cli"},
    "evaluation": {"training", "explain", "cli"},
    "explain": {"training", "cli"},
    "training": {"explain", "cli"},
}


def imports(source: str, path: tuple[str, ...]) -> set[str]:
    """The rooms, or modules beside them, that a module of this package at `path` imports; "" is the package itself."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ("softprompt", *path)[: -node.level] if node.level else ()
            start = ".".join((*above, *([node.module] if node.module else [])))
            names = [f"{start}.{name.name}" for name in node.names]
        for name in names:
            package, *rest = name.split(".")
            if package != "softprompt":
                continue
            known = bool(rest) and ((ROOT / rest[0]).is_dir() or (ROOT / f"{rest[0]}.py").is_file())
            found.add(rest[0] if known else "")
    return found


def of_room(room: str) -> dict[str, set[str]]:
    """What each module of a room imports beyond it."""
    modules = {path: path.relative_to(ROOT) for path in sorted((ROOT / room).rglob("*.py"))}
    return {
        str(place): imports(path.read_text(encoding="utf-8"), place.with_suffix("").parts) - {room} - EVERYBODY
        for path, place in modules.items()
    }


def test_every_kind_of_import_is_seen() -> None:
    source = """
import softprompt.tasks.template
from softprompt.training import run
from softprompt import Task, cli
def late():
    from ..evaluation import predict
    from .stream import resolve
if TYPE_CHECKING:
    import torch, softprompt
    from .. import explain
"""
    expected = {"tasks", "training", "", "cli", "evaluation", "sites", "explain"}
    assert imports(source, ("sites", "hooks")) == expected


@pytest.mark.parametrize("room", LOW)
def test_the_low_rooms_import_what_lies_below_them(room: str) -> None:
    found = of_room(room)
    assert found
    assert {place: names for place, names in found.items() if names - LOW[room]} == {}


@pytest.mark.parametrize("room", ABOVE)
def test_no_room_imports_one_above_it(room: str) -> None:
    found = of_room(room)
    assert found
    assert {place: names for place, names in found.items() if names & ABOVE[room]} == {}
