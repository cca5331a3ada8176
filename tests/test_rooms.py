"""The order of rooms: a room imports only from lines above its own, and no two files import one another.

Every import counts, those inside functions and those for types alone as well.
"""

from __future__ import annotations

import ast

import pytest

from .shared.imports import PACKAGE, circles, graph, imports_of, modules

# From the foundations to what users call. Rooms of one line know nothing of one another; a room with lines of its own
# keeps them in the same way.
Room = str | tuple[str, list[list[str]]]
TASKS = [
    ["registry", "values"],
    ["rows", "origins", "loading", "answers", "facts", "overlap", "spans"],
    ["metrics", "text"],
    ["row_hash", "in_place", "patterns"],
    ["label_texts"],
    ["definition"],
    ["seen", "scoring"],
    ["data"],
    ["guess"],
    ["task"],
]
TRAINING = [
    ["options", "measure", "process", "hold", "warm_start", "named_patterns"],
    ["preset"],
    ["divergence", "identity", "setup"],
    ["finished", "run_folder", "begun", "fitting", "heard", "lengths", "untrained"],
    ["records", "adaptation", "own_rows", "ranked", "schema", "specified"],
    ["courses"],
    ["results"],
    ["run"],
    ["multitask"],
]
ORDER: list[list[Room]] = [
    ["errors"],
    ["cores", "guards", "progress", "ranks"],
    ["files"],
    ["pages"],
    ["backbones", ("tasks", TASKS)],
    ["sites", "presets"],
    ["methods", "readouts"],
    ["attached"],
    ["interop"],
    ["inference"],
    ["storage"],
    ["carrying", "evaluation", "serving"],
    [("training", TRAINING)],
    ["compare"],
    ["explain"],
    ["studio"],
    ["__init__"],
    ["cli"],
    ["demo", "__main__"],
]


def places(order: list[list[Room]]) -> dict[str, int]:
    """The line of each room."""
    return {name(room): line for line, rooms in enumerate(order) for room in rooms}


def name(room: Room) -> str:
    return room if isinstance(room, str) else room[0]


def wrong(arrows: dict[str, set[str]], order: list[list[Room]], within: str = "") -> list[str]:
    """Every import that runs against the order, as `from -> to`."""
    lines, found = places(order), []
    for start, ends in arrows.items():
        here = _room(start, within)
        for end in ends:
            there = _room(end, within)
            if here is None or there is None or here == there:
                continue
            if lines[there] >= lines[here]:
                found.append(f"{start} -> {end}")
    for rooms in order:
        for room in rooms:
            if not isinstance(room, str):
                found += wrong(arrows, list(room[1]), f"{within}{room[0]}.")
    return found


def _room(module: str, within: str) -> str | None:
    """The room of a module inside another room, or None where it lies elsewhere; a package's own file has none."""
    if within:
        return module.removeprefix(within).split(".")[0] if module.startswith(within) else None
    return module.split(".")[0] or "__init__"


def test_every_kind_of_import_is_seen() -> None:
    source = """
import softprompt.tasks.text.template
from softprompt.training import run
from softprompt import Task, cli
def late():
    from ..evaluation import score
    from .stream import resolve
if TYPE_CHECKING:
    import torch, softprompt
    from .. import explain
"""
    expected = {"tasks.text.template", "training.run", "", "cli", "evaluation.score", "sites.stream", "explain"}
    assert imports_of(source, "sites.hooks", set(modules())) == expected


def test_an_arrow_upwards_and_a_circle_are_found() -> None:
    assert wrong({"sites.hooks": {"methods.capt", "errors"}}, ORDER) == ["sites.hooks -> methods.capt"]
    assert wrong({"backbones.load": {"tasks.task"}}, ORDER) == ["backbones.load -> tasks.task"]
    assert wrong({"tasks.text.template": {"tasks.data.files"}}, ORDER) == ["tasks.text.template -> tasks.data.files"]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"e"}}) == [["a", "b", "c"], ["e"]]


def test_each_room_is_on_the_list_and_the_root_holds_no_other_file() -> None:
    found = {module.split(".")[0] or "__init__" for module in modules()}
    assert found == set(places(ORDER))
    assert {path.stem for path in PACKAGE.glob("*.py")} == {
        "__init__",
        "__main__",
        "cores",
        "errors",
        "progress",
        "ranks",
        "demo",
    }


@pytest.mark.parametrize("room", ["tasks", "training"])
def test_each_part_of_a_room_with_an_order_of_its_own_is_on_its_list(room: str) -> None:
    found = {module.split(".")[1] for module in modules() if module.startswith(f"{room}.")}
    assert found == set(places(list(dict([r for rooms in ORDER for r in rooms if not isinstance(r, str)])[room])))


def test_no_import_runs_upwards() -> None:
    assert wrong(graph(), ORDER) == []


def test_no_files_import_one_another() -> None:
    assert circles(graph()) == []


def test_a_name_of_the_room_of_tables_is_one_thing() -> None:
    """Its classes and functions are handed from file to file; each form has its own way to escape a text."""
    known: dict[str, list[str]] = {}
    for module, path in modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body if module.startswith("compare.") else []:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
                known.setdefault(node.name, []).append(module)
    assert {name for name, places in known.items() if len(places) > 1} == {"main", "escaped"}
