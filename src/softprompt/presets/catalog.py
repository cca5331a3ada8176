"""Presets from YAML: the catalog that comes with the library, and a user's own files."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from softprompt.errors import SoftPromptError
from softprompt.guards.paths import path_of
from softprompt.guards.registry import unknown
from softprompt.guards.yaml_files import read_mapping
from softprompt.presets.definition import Preset
from softprompt.tasks.loading import first_fault

CATALOG = Path(__file__).parent / "catalog"
_ENDINGS = (".yaml", ".yml")


def preset_names() -> list[str]:
    """Names of the library's presets.

    Example:
        >>> from softprompt.presets.catalog import preset_names
        >>> preset_names()
        ['capt-paper', 'lester', 'lpt-paper', 'ptuning-v2-paper', 'spt-lpt']
    """
    return sorted(path.stem for path in CATALOG.glob("*.yaml"))


def preset(name_or_path: str | Path) -> Preset:
    """A preset of the catalog or of a YAML file.

    Args:
        name_or_path: a name of `preset_names`, or a path that ends in .yaml or .yml.

    Raises:
        SoftPromptError: no such preset or file, or a fault in it, with its key.

    Example:
        >>> from softprompt.presets.catalog import preset
        >>> preset("lester").options["num_virtual_tokens"]
        100
    """
    own = Path(name_or_path).suffix in _ENDINGS
    if not own and str(name_or_path) not in preset_names():
        raise SoftPromptError(
            f"{unknown('preset', str(name_or_path), preset_names())}; one of your own is a path that ends in .yaml"
        )
    path = path_of(name_or_path, "preset") if own else CATALOG / f"{name_or_path}.yaml"
    where = str(path) if own else path.name
    values = read_mapping(path, where, "a preset", "method: ...")
    try:
        return Preset.model_validate({"name": path.stem, **values})
    except ValidationError as error:
        raise SoftPromptError(f"preset {where}: {first_fault(error, Preset)}") from None
