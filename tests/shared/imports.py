"""Which file of the package imports which, read from the source: also inside functions and for types alone."""

from __future__ import annotations

import ast
from pathlib import Path

import softprompt

PACKAGE = Path(softprompt.__file__).parent


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Every module of a package by its dotted name within; the package itself is ""."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(source: str, name: str, known: set[str], package: str = "softprompt") -> set[str]:
    """The modules that a module imports.

    Args:
        source: its text.
        name: its dotted name within the package, that of its file (`tasks.__init__` for a package's own).
        known: all modules.
        package: the package's name.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = [package, *name.split(".")][: -node.level] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{start}.{alias.name}" for alias in node.names]
        for each in names:
            if each.split(".")[0] == package:
                found.add(_module(each.split(".")[1:], known))
    return found


def graph(package: Path = PACKAGE) -> dict[str, set[str]]:
    """For each module the modules that it imports."""
    files = modules(package)
    return {
        name: imports_of(path.read_text(encoding="utf-8"), _own(name, path), set(files)) - {name}
        for name, path in files.items()
    }


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import one another, however long the way round (Tarjan)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(arrows.get(name, ())):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            circle = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(circle) > 1 or name in arrows.get(name, ()):
                found.append(sorted(circle))

    for name in arrows:
        if name not in order:
            visit(name)
    return found


def _own(name: str, path: Path) -> str:
    return f"{name}.__init__".lstrip(".") if path.name == "__init__.py" else name


def _module(parts: list[str], known: set[str]) -> str:
    """The module that a dotted name lies in: the name of a class or function is cut off."""
    while parts and ".".join(parts) not in known:
        parts = parts[:-1]
    return ".".join(parts)
