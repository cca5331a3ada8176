"""Task definitions from YAML: the catalog that comes with the library, and a user's own files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from os import PathLike
from pathlib import Path

from pydantic import BaseModel, ValidationError

from softprompt.errors import SoftPromptError, quoted, shown
from softprompt.guards import limits
from softprompt.guards.documents import parse_yaml_texts
from softprompt.guards.kinds import check_kind
from softprompt.guards.paths import check_file, path_of, reading
from softprompt.guards.suggestions import folded, nearest
from softprompt.tasks.registry import CATALOG, TASKS
from softprompt.tasks.values import label_text, same_meaning

# Keys whose values are truths, numbers or tables of what a data set has; all others hold texts.
_TYPED = ("label_from_one", "references", "skip_incomplete", "blank_text", "bounds", "hub", "package")


def catalog_names() -> list[str]:
    """Names of the catalog's tasks, and of those that installed packages bring."""
    return list(TASKS.all())


def read_task(name_or_path: str | Path) -> tuple[dict[str, object], str, tuple[str, ...]]:
    """The keys of a task definition, the file they are from, and notes on how it was read.

    Raises:
        SoftPromptError: no such task or file, or not a YAML mapping.
    """
    check_kind("Task.load", "name of a task", name_or_path, (str, PathLike))
    if Path(name_or_path).suffix in (".yaml", ".yml"):
        path = path_of(name_or_path, "task")
        values, notes = _read_yaml(path, str(path))
        if isinstance(values.get("vocabulary"), str):
            values["vocabulary"] = _words(path.parent / str(values["vocabulary"]))
        return {"name": path.stem, **values}, str(path), notes
    given = str(name_or_path)
    # Packages are read only where the library itself has no such task.
    name = _own_names().get(folded(given)) or _all_names().get(folded(given))
    if name is None:
        raise SoftPromptError(TASKS.why_not(given) or _unknown(given))
    known, where = _keys(name)
    return {"name": name, **known}, where, ()


def first_fault(error: ValidationError, model: type[BaseModel]) -> str:
    """The first fault of a definition in one line, with its key and the mend."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"the key {key!r} is missing"
    if fault["type"] == "extra_forbidden":
        near = nearest(key, model.model_fields)
        hint = f"did you mean {near!r}?" if near else f"the keys are {', '.join(model.model_fields)}"
        return f"there is no key {key!r}; {hint}"
    if fault["type"] == "string_type":
        return f"key {key!r}: {quoted(fault['input'])} is no text; put it in quotes"
    return f"key {key!r}: {message}" if key else message


def _unknown(given: str) -> str:
    names = _all_names()
    near = nearest(given, names)
    hint = f"did you mean {names[near]!r}?" if near else f"the tasks are {', '.join(catalog_names())}."
    # A package that cannot be read does not tell which tasks it holds: this may be one of them.
    broken = "".join(f"; {fault}" for fault in TASKS.faults())
    return f"no task {quoted(given)}; {hint} A task of your own is a path that ends in .yaml{broken}"


def _keys(name: str) -> tuple[Mapping[str, object], str]:
    """The keys of a known task, and the file they are from."""
    keys = TASKS.get(name)
    if not isinstance(keys, Path):
        return keys, f"task {name}"
    where = keys.name if keys.parent == CATALOG else str(keys)
    return _read_yaml(keys, where)[0], where


@lru_cache(maxsize=1)
def _own_names() -> dict[str, str]:
    """The catalog's names by their folded spellings, aliases among them."""
    return _spellings(file.stem for file in CATALOG.glob("*.yaml"))


def _all_names() -> dict[str, str]:
    """All names by their folded spellings; an alias of a package's takes no name of another task."""
    return {**_spellings(name for name in TASKS.all() if folded(name) not in _own_names()), **_own_names()}


def _spellings(names: Iterable[str]) -> dict[str, str]:
    found, others = {}, {}
    for name in names:
        found[folded(name)] = name
        with suppress(SoftPromptError):  # told when the task itself is asked for
            aliases = _keys(name)[0].get("aliases", [])
            others.update({folded(str(alias)): name for alias in (aliases if isinstance(aliases, list) else [aliases])})
    return {**others, **found}


def _read_yaml(path: Path, name: str) -> tuple[dict[str, object], tuple[str, ...]]:
    check_file(path)
    with reading(path), path.open("rb") as file:
        data = file.read(limits.DEFINITION + 1)
    limits.check(len(data), limits.DEFINITION, "bytes and more", name, "a task's definition is shorter")
    try:
        values, read = parse_yaml_texts(data.decode("utf-8-sig"), name, _TYPED)
    except UnicodeDecodeError as error:
        raise SoftPromptError(f"{name}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None
    if not isinstance(values, dict):
        raise SoftPromptError(f"{name}: not a YAML mapping; write the task's keys, as `template: ...`")
    other = next((key for key in values if not isinstance(key, str)), None)
    if other is not None:
        raise SoftPromptError(f"{name}: the key {quoted(other)} is no text; write it as one")
    if values.get("positive", "") is None and "null" in (values.get("labels") or ()):
        values["positive"] = "null"
    return values, _notes(name, read)


def _words(path: Path) -> tuple[str, ...]:
    """The words of a vocabulary's file, one a line, each once."""
    check_file(path)
    with reading(path), path.open("rb") as file:
        data = file.read(limits.LINE + 1)
    limits.check(len(data), limits.LINE, "bytes and more", str(path), "a vocabulary is shorter")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SoftPromptError(f"{path}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _notes(name: str, read: Mapping[str, object]) -> tuple[str, ...]:
    """What is told where YAML takes texts of a definition for something else, and that would make another label."""
    others = {text: label_text(value) for text, value in read.items()}
    others = {text: other for text, other in others.items() if text != other and not same_meaning(text, other)}
    if not others:
        return ()
    texts = ", ".join(f"{shown(text)} (to YAML {quoted(read[text], 40)})" for text in list(others)[:6])
    return (f"{name}: read as the texts that stand there: {texts}; quotes make that plain",)
