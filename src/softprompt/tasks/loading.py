"""Task definitions from YAML: the catalog that comes with the library, and a user's own files."""

from __future__ import annotations

import difflib
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ValidationError

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards import limits
from softprompt.guards.documents import parse_yaml
from softprompt.guards.paths import check_file, path_of, reading

_CATALOG = Path(__file__).parent / "catalog"


def catalog_names() -> list[str]:
    """Names of the catalog's tasks."""
    return sorted(path.stem for path in _CATALOG.glob("*.yaml"))


def read_task(name_or_path: str | Path) -> tuple[dict[str, object], str]:
    """The keys of a task definition, and the file they are from.

    Raises:
        SoftPromptError: no such task or file, or not a YAML mapping.
    """
    if Path(name_or_path).suffix in (".yaml", ".yml"):
        path = path_of(name_or_path, "task")
        values = _read_yaml(path, str(path))
        return {"name": path.stem, **values}, str(path)
    name = _names().get(folded(str(name_or_path)))
    if name is None:
        near = difflib.get_close_matches(folded(str(name_or_path)), _names(), n=1)
        hint = f"did you mean {_names()[near[0]]!r}?" if near else f"the tasks are {', '.join(catalog_names())}"
        raise SoftPromptError(
            f"no task {quoted(str(name_or_path))}; {hint} A task of your own is a path that ends in .yaml"
        )
    return {"name": name, **_read_yaml(_CATALOG / f"{name}.yaml", f"{name}.yaml")}, f"{name}.yaml"


def folded(name: str) -> str:
    """A name without case, hyphens, underscores and spaces: SST-2 and sst2 are one task."""
    return "".join(character for character in name.lower() if character.isalnum())


def first_fault(error: ValidationError, model: type[BaseModel]) -> str:
    """The first fault of a definition in one line, with its key and the mend."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"the key {key!r} is missing"
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, model.model_fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(model.model_fields)}"
        return f"there is no key {key!r}; {hint}"
    if fault["type"] == "string_type":
        return f"key {key!r}: {quoted(fault['input'])} is no text; put it in quotes"
    return f"key {key!r}: {message}" if key else message


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """The catalog's names by their folded spellings, aliases among them."""
    names: dict[str, str] = {}
    for name in catalog_names():
        aliases = _read_yaml(_CATALOG / f"{name}.yaml", f"{name}.yaml").get("aliases")
        spellings = (name, *(aliases if isinstance(aliases, list) else ()))
        names.update({folded(str(alias)): name for alias in spellings})
    return names


def _read_yaml(path: Path, name: str) -> dict[str, object]:
    check_file(path)
    with reading(path), path.open("rb") as file:
        data = file.read(limits.DEFINITION + 1)
    limits.check(len(data), limits.DEFINITION, "bytes and more", name, "a task's definition is shorter")
    try:
        values = parse_yaml(data.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise SoftPromptError(f"{name}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None
    if not isinstance(values, dict):
        raise SoftPromptError(f"{name}: not a YAML mapping; write the task's keys, as `template: ...`")
    return values
