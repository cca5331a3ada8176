"""The names of methods and options, read off their files: a mistyped one is refused before torch is imported.

What is told here is told again by the classes themselves, which alone know the methods of installed packages and what
an option may be. So a name that is not found here is refused only where nobody else can bring it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.guards.registry import unknown

_PACKAGE = Path(__file__).parents[1]
_FILES = ("methods/*.py", "methods/parts/*.py", "training/options.py")
METHOD, TRAINING = "method", "training"


@dataclass(frozen=True)
class _Written:
    """A class as it is written: its bases' names, the value of `name`, and the fields that it declares."""

    bases: tuple[str, ...]
    name: str | None
    fields: frozenset[str]


def method_names() -> set[str]:
    """The library's own methods."""
    return {one.name for one in _classes().values() if one.name is not None}


def all_options() -> set[str]:
    """The options of training and of all the library's own methods."""
    classes = _classes()
    trained = ["TrainingOptions", *(key for key, one in classes.items() if one.name is not None)]
    return {name for key in trained for name in _fields(key)}


def options_of(method: str) -> dict[str, set[str]] | None:
    """The options of a method and those of training; None where packages bring methods, and this may be one of theirs.

    Raises:
        SoftPromptError: there is no such method.
    """
    classes = _classes()
    own = next((name for name, one in classes.items() if one.name == method), None)
    if own is None:
        if _others_have_methods():
            return None
        raise SoftPromptError(unknown(METHOD, method, sorted(method_names())))
    return {METHOD: set(_fields(own)), TRAINING: set(_fields("TrainingOptions"))}


def _others_have_methods() -> bool:
    """Whether a package brings methods, or code of this process may have registered one."""
    from importlib.metadata import entry_points

    return "softprompt.methods.registry" in sys.modules or bool(entry_points(group="softprompt.methods"))


def _fields(name: str) -> Iterator[str]:
    """The fields of a class and of its bases."""
    found = _classes().get(name)
    if found is not None:
        yield from found.fields
        for base in found.bases:
            yield from _fields(base)


@cache
def _classes() -> dict[str, _Written]:
    sources = [path.read_text(encoding="utf-8") for pattern in _FILES for path in sorted(_PACKAGE.glob(pattern))]
    parts = [node for source in sources for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return {node.name: _written(node) for node in parts}


def _written(node: ast.ClassDef) -> _Written:
    declared = {
        one.target.id: one
        for one in node.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and not one.target.id.startswith("_")
    }
    named = declared["name"].value if "name" in declared else None
    fields = {name for name, one in declared.items() if not ast.unparse(one.annotation).startswith("ClassVar")}
    bases = tuple(base.id for base in node.bases if isinstance(base, ast.Name))
    value = named.value if isinstance(named, ast.Constant) else None
    return _Written(bases, value if isinstance(value, str) else None, frozenset(fields))
