"""What a shell completes by Tab: names that are read off files, so that nothing waits for torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from softprompt.carrying.names import NAMES
from softprompt.cli.known import all_options, method_names, options_of
from softprompt.errors import SoftPromptError

_CATALOG = Path(__file__).parents[1] / "tasks" / "catalog"
_PRESETS = Path(__file__).parents[1] / "presets" / "catalog"


def methods_by_name(incomplete: str) -> list[str]:
    """The library's own methods."""
    return _begun(method_names(), incomplete)


def tasks_by_name(incomplete: str) -> list[str]:
    """The tasks of the catalog, and YAML files and folders where the word is a path."""
    names = [path.stem for path in _CATALOG.glob("*.yaml")]
    return _begun(names, incomplete) + _paths(incomplete, (".yaml", ".yml"))


def patterns_by_name(ctx: typer.Context, incomplete: str) -> list[str]:
    """The patterns of the task that stands on the line, of the catalog or in a YAML file."""
    from softprompt.guards.documents import parse_yaml

    name = str(ctx.params.get("task") or "")
    path = Path(name) if name.endswith((".yaml", ".yml")) else _CATALOG / f"{name}.yaml"
    try:
        keys = parse_yaml(path.read_text(encoding="utf-8"), name)
    except (SoftPromptError, OSError, UnicodeDecodeError):  # no task yet, or one that cannot be read
        return []
    found = keys.get("patterns") if isinstance(keys, dict) else None
    return _begun(map(str, found), incomplete) if isinstance(found, dict) else []


def presets_by_name(incomplete: str) -> list[str]:
    """The presets of the catalog, and YAML files and folders where the word is a path."""
    names = [path.stem for path in _PRESETS.glob("*.yaml")]
    return _begun(names, incomplete) + _paths(incomplete, (".yaml", ".yml"))


def backbones_by_name(incomplete: str) -> list[str]:
    """The embedded models, and GGUF files and folders where the word is a path."""
    return _begun(("embedded:gemma3-270m", "embedded:minilm"), incomplete) + _paths(incomplete, (".gguf",))


def settings_by_name(ctx: typer.Context, incomplete: str) -> list[str]:
    """`name=` for each option of training and of the method that stands on the line; of every method without one."""
    try:
        known = options_of(str(ctx.params.get("method") or ""))
    except SoftPromptError:  # no method yet, or a mistyped one
        known = None
    names = all_options() if known is None else set().union(*known.values())
    return _begun((f"{name}=" for name in names), incomplete)


def types_by_name(incomplete: str) -> list[str]:
    """The types of a backbone's weights."""
    return _begun(("auto", "bfloat16", "float16", "float32"), incomplete)


def forms_by_name(incomplete: str) -> list[str]:
    """The forms that prompts are exported in."""
    return _begun(NAMES, incomplete)


def parts_by_name(incomplete: str) -> list[str]:
    """The parts of a task's rows."""
    return _begun(("test", "train", "validation"), incomplete)


def _begun(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _paths(incomplete: str, endings: tuple[str, ...]) -> list[str]:
    """Files of some endings, and folders, that a word begins the path of."""
    if not incomplete:
        return []
    folder, _, begun = incomplete.rpartition("/")
    place = Path(f"{folder}/") if folder or incomplete.startswith("/") else Path()
    try:
        found = [path for path in place.iterdir() if path.name.startswith(begun)]
    except OSError:
        return []
    lead = f"{folder}/" if "/" in incomplete else ""
    return sorted(f"{lead}{path.name}" for path in found if path.is_dir() or path.suffix in endings)
