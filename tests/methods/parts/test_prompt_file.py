"""Prompts of a relation from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.methods import SoftWords, method
from softprompt.methods.parts.prompt_file import read_prompts

from ...shared.tables import jsonl, told

LINES = [
    {"relation": "P19", "template": "[X] was born in [Y] .", "label": "place of birth"},
    {"relation": "P20", "template": "[X] died in [Y] ."},
    {"relation": "P19", "template": "[Y] is where {[X]} comes from"},
    {"relation": "P19", "template": "[X] was born in [Y] ."},
]
BORN = ("{subject} was born in {mask} .", "{mask} is where {{{subject}}} comes from")


def test_templates_of_one_relation_each_once_and_of_all(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "relations.jsonl", LINES)
    assert read_prompts(path, "P19") == BORN
    assert read_prompts(path) == (BORN[0], "{subject} died in {mask} .", BORN[1])


def test_soft_words_take_a_file_and_keep_its_templates(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "relations.jsonl", LINES)
    made = method("soft_words", prompts=f"@{path}::P19")
    assert isinstance(made, SoftWords)
    assert made.prompts == BORN
    assert SoftWords(**json.loads(made.model_dump_json())).prompts == BORN
    path.unlink()
    assert SoftWords(prompts="{subject} a {mask} ;; b {subject} {mask}").prompts == (
        "{subject} a {mask}",
        "b {subject} {mask}",
    )


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("[]", ("line 1", "template")),
        ('{"relation": "P19"}', ("line 1", "template")),
        ('{"template": "[X] [Y] [Y]"}', ("line 1", "[X] and [Y]")),
        ('{"template": "[X]"}', ("line 1", "[X] and [Y]")),
        ("{", ("line 1",)),
        ('{"relation": "P1", "template": "[X] [Y]"}', ("no template of relation 'P19'",)),
    ],
)
def test_what_is_none_is_told_in_a_line(tmp_path: Path, line: str, parts: tuple[str, ...]) -> None:
    path = tmp_path / "relations.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(SoftPromptError) as error:
        method("soft_words", prompts=f"@{path}::P19")
    told(error, "relations.jsonl", *parts)
