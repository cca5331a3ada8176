"""A user's YAML file that is one mapping, read within `limits`."""

from __future__ import annotations

from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.documents import parse_yaml
from softprompt.guards.paths import check_file, reading


def read_mapping(path: Path, where: str, what: str, example: str) -> dict[str, object]:
    """The keys of a YAML file.

    Args:
        path: of the file.
        where: it stands, for messages.
        what: it holds, as `a preset`.
        example: of a key that it may have, as ``method: ...``.

    Raises:
        SoftPromptError: no such file, too long a one, no UTF-8, no YAML, or no mapping.
    """
    check_file(path)
    with reading(path), path.open("rb") as file:
        data = file.read(limits.DEFINITION + 1)
    limits.check(len(data), limits.DEFINITION, "bytes and more", where, f"{what} is shorter")
    try:
        values = parse_yaml(data.decode("utf-8-sig"), where)
    except UnicodeDecodeError as error:
        raise SoftPromptError(f"{where}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None
    if not isinstance(values, dict):
        raise SoftPromptError(f"{where}: not a YAML mapping; write the {what.split()[-1]}'s keys, as `{example}`")
    return {str(key): value for key, value in values.items()}
