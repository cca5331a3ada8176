"""`export`: a trained prompt in the form of another program, or one line on what can carry it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from softprompt.carrying.format import Format
from softprompt.carrying.keys_values import KEYS_VALUES
from softprompt.carrying.names import NAMES, check_form
from softprompt.carrying.onnx_graph import ONNX
from softprompt.carrying.peft_checkpoint import PEFT
from softprompt.carrying.prompt_embeds import PROMPT_EMBEDS
from softprompt.carrying.vocabulary import VOCABULARY
from softprompt.errors import SoftPromptError
from softprompt.files.whole import placing
from softprompt.guards.paths import entries, folder_for
from softprompt.storage.prompt import Prompt

FORMATS: dict[str, Format] = dict(zip(NAMES, (PEFT, VOCABULARY, KEYS_VALUES, PROMPT_EMBEDS, ONNX), strict=True))


def export(prompt: Prompt | Mapping[str, Prompt], folder: str | Path, *, to: str) -> Path:
    """Write a prompt in the form of another program.

    Args:
        prompt: a loaded or trained prompt, or several by name where the form holds several.
        folder: a new one, or an empty one; it is written whole or not at all.
        to: the form: `peft`, `vocabulary`, `keys-values`, `prompt-embeds` or `onnx`.

    Returns:
        The folder.

    Raises:
        SoftPromptError: it is no prompt, there is no such form, it cannot carry the prompt (the line says which can),
            or the folder holds something or cannot be written.

    Example:
        >>> sorted(path.name for path in sp.export(prompt, "for-peft", to="peft").iterdir())
        ['README.md', 'adapter_config.json', 'adapter_model.safetensors']
    """
    named = _named(prompt)
    check_form(to, len(named))
    form = FORMATS[to]
    path = folder_for(folder, "folder")
    if path.is_dir() and entries(path):
        raise SoftPromptError(f"{path} holds something already: choose a new folder")
    for one in named.values():
        _check(one, form, to)
    with placing(path) as beside:
        form.write(named, beside)
    return path


def _named(given: object) -> dict[str, Prompt]:
    """One prompt or several, by their names.

    Raises:
        SoftPromptError: it is something else.
    """
    several = given if isinstance(given, Mapping) else {given.name if isinstance(given, Prompt) else "": given}
    found = {str(name): one for name, one in several.items() if isinstance(one, Prompt)}
    if len(found) < len(several):
        raise SoftPromptError("export takes a prompt, or prompts by name: load a folder with softprompt.load first")
    return found


def _check(prompt: Prompt, form: Format, to: str) -> None:
    """Make sure that a form can carry a prompt.

    Raises:
        SoftPromptError: it cannot; the line says why, and what can.
    """
    why = form.refusal(prompt)
    if why is None:
        return
    able = [name for name, other in FORMATS.items() if other is not form and other.refusal(prompt) is None]
    mend = f"it can be carried to {', '.join(able)}" if able else "softprompt serve answers with it"
    raise SoftPromptError(f"{prompt.name} ({prompt.method.name}) cannot be carried to {to}: {why}: {mend}")
