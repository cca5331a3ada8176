"""Task definitions from YAML: the catalog that comes with the library, and a user's own files."""

from __future__ import annotations

import difflib
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from softprompt.errors import SoftPromptError

_CATALOG = Path(__file__).parent / "catalog"


def catalog_names() -> list[str]:
    """Names of the catalog's tasks."""
    return sorted(path.stem for path in _CATALOG.glob("*.yaml"))


def read_task(name_or_path: str | Path) -> tuple[dict[str, Any], str]:
    """The keys of a task definition, and the file they are from.

    Raises:
        SoftPromptError: no such task or file, or not a YAML mapping.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        values = _read_yaml(path, str(path))
        return {"name": path.stem, **values}, str(path)
    name = _names().get(folded(str(name_or_path)))
    if name is None:
        near = difflib.get_close_matches(folded(str(name_or_path)), _names(), n=1)
        hint = f"did you mean {_names()[near[0]]!r}?" if near else f"the tasks are {', '.join(catalog_names())}"
        raise SoftPromptError(f"no task {str(name_or_path)!r}; {hint} A task of your own is a path that ends in .yaml")
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
        return f"key {key!r}: {fault['input']!r} is no text; put it in quotes"
    return f"key {key!r}: {message}" if key else message


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """The catalog's names by their folded spellings, aliases among them."""
    names: dict[str, str] = {}
    for name in catalog_names():
        aliases = _read_yaml(_CATALOG / f"{name}.yaml", f"{name}.yaml").get("aliases", [])
        names.update({folded(alias): name for alias in (name, *aliases)})
    return names


def _read_yaml(path: Path, name: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SoftPromptError(f"{name}: cannot be read ({error.strerror}); check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SoftPromptError(f"{name}: not proper YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise SoftPromptError(f"{name}: not a YAML mapping; write the task's keys, as `template: ...`")
    return values
