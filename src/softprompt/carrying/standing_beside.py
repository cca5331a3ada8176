"""What stands beside the tensors of a single prompt: its template, and the program of `beside` that loads both."""

from __future__ import annotations

import shutil
from pathlib import Path

from softprompt.carrying.chat_templates import chat_template, check_template
from softprompt.carrying.programs import fields_of
from softprompt.storage.prompt import Prompt

_BESIDE = Path(__file__).parent / "beside"


def write_beside(folder: Path, name: str, prompt: Prompt, program: str) -> str:
    """Write both.

    Args:
        folder: that is written.
        name: of the prompt.
        prompt: whose virtual tokens stand in front of the text.
        program: the name of its file.

    Returns:
        The fields of a text as the program's functions take them, to be filled in.

    Raises:
        SoftPromptError: see `check_template`.
    """
    template = chat_template(prompt, ())
    check_template(name, prompt, prompt.tokenizer, template, ())
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    shutil.copyfile(_BESIDE / program, folder / program)
    return ", ".join(f"{field}={text!r}" for field, text in fields_of(prompt).items())
