"""Names to tasks: the catalog's, those registered by a decorator, and those of installed packages.

A task is known by the YAML file of its definition, or by the keys that such a file would hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeAlias, TypeVar

from pydantic import BaseModel

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.registry import Entry, Registry, defined
from softprompt.guards.suggestions import folded

TaskKeys: TypeAlias = Path | Mapping[str, object]
_F = TypeVar("_F", bound=Callable[[], BaseModel])
CATALOG = Path(__file__).parent / "catalog"


def _of_package(name: str, given: object) -> list[tuple[str, Entry[TaskKeys]]]:
    """The tasks of a package's folder of YAML files, or one that its code makes."""
    if isinstance(given, ModuleType):
        files = [file for folder in getattr(given, "__path__", ()) for file in sorted(Path(folder).glob("*.yaml"))]
        if not files:
            raise SoftPromptError(
                f"{given.__name__} is no package that holds .yaml files: put the tasks beside its __init__.py"
            )
        return [(file.stem, Entry(file, str(file))) for file in files]
    return [_made(given, name)]


def _made(given: object, point: str = "") -> tuple[str, Entry[TaskKeys]]:
    """The entry of a task, or of a function that makes one."""
    task: object = given() if callable(given) else given
    if not (isinstance(task, BaseModel) and {"name", "template"} <= type(task).model_fields.keys()):
        raise SoftPromptError(
            f"{quoted(task)} is no Task: give a Task, a function that makes one, or a package of .yaml files"
        )
    patterns: Mapping[str, BaseModel] = getattr(task, "patterns", {})  # a dump is what runs keep: it has none of them
    keys = {
        **task.model_dump(mode="json"),
        "patterns": {name: one.model_dump(mode="json") for name, one in patterns.items()},
    }
    # A value does not know where it was made.
    where = f"entry point {point!r} with {quoted(keys['template'], 60)}" if given is task else defined(given)
    return str(keys["name"]), Entry(keys, where)


TASKS: Registry[TaskKeys] = Registry("task", _of_package, spell=folded)
for _file in CATALOG.glob("*.yaml"):
    TASKS.add(_file.stem, Entry(_file, f"{_file.name} of the catalog"))


def register_task(function: _F) -> _F:
    """Decorator: make the `Task` that a function gives known under its name.

    A package names its tasks by an entry point of the group `softprompt.tasks`: a package whose folder holds their YAML
    files, a `Task`, or such a function.

    Raises:
        SoftPromptError: the function gives no task, or the name is taken by another one.
    """
    TASKS.add(*_made(function))
    return function
