"""Prompts of a relation from a file: LAMA's and LPAQA's lines with a `relation` and a `template`.

A template has `[X]` where the subject stands and `[Y]` where the object is asked for; they become the field `subject`
and the mask. LAMA's `relations.jsonl` has one template a relation, LPAQA's files (Jiang et al., TACL 2020,
<https://arxiv.org/abs/1911.12543>) have many, mined or paraphrased.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BeforeValidator

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.documents import parse_json
from softprompt.guards.paths import check_file, reading

_MARK = "@"


def read_prompts(path: Path, relation: str = "") -> tuple[str, ...]:
    """The templates of a relation, or of all lines where none is named, each once.

    Raises:
        SoftPromptError: no such file, a line that is no object with a template of both places, or none of the relation.
    """
    check_file(path)
    with reading(path), path.open("rb") as file:
        data = file.read(limits.LINE + 1)
    limits.check(len(data), limits.LINE, "bytes and more", str(path), "keep the lines of one relation")
    found: dict[str, None] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            template, own = _line(line, f"{path}, line {number}")
            found |= {template: None} if relation in ("", own) else {}
    if not found:
        raise SoftPromptError(f"{path}: no template of relation {relation!r}: name one that stands there")
    return tuple(found)


def _line(line: bytes, where: str) -> tuple[str, str]:
    try:
        values = parse_json(line.decode("utf-8-sig"), where)
    except UnicodeDecodeError:
        raise SoftPromptError(f"{where}: not UTF-8 text; save the file as UTF-8") from None
    template = values.get("template") if isinstance(values, dict) else None
    if not isinstance(values, dict) or not isinstance(template, str):
        raise SoftPromptError(f'{where}: not an object with a \'template\': write {{"relation": ..., "template": ...}}')
    if template.count("[X]") != 1 or template.count("[Y]") != 1:
        raise SoftPromptError(f"{where}: the template {template[:60]!r} needs [X] and [Y], each once")
    plain = template.replace("{", "{{").replace("}", "}}")
    return plain.replace("[X]", "{subject}").replace("[Y]", "{mask}"), str(values.get("relation", ""))


def _from_file(value: object) -> object:
    if not isinstance(value, str) or not value.startswith(_MARK):
        return value
    path, _, relation = value[len(_MARK) :].partition("::")
    return read_prompts(Path(path), relation)


PROMPTS_OF_FILE = BeforeValidator(_from_file)  # takes `@FILE` and `@FILE::RELATION` for the templates in a file
