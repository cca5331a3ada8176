"""The vectors of a saved prompt that can be read: its tokens' embeddings, and its stored rows; and tokens as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.files.forms import read_forms
from softprompt.files.places import TENSORS, folder_of
from softprompt.files.tensors import read_tensors
from softprompt.files.written import check_written
from softprompt.sites.producer import Producer
from softprompt.storage.record import Description, read_description
from softprompt.storage.vectors import input_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def embeddings(producer: Producer, width: int, name: str) -> Tensor:
    """What stands in the input at the virtual tokens: fp32, `(P, E)`.

    Args:
        producer: of a loaded prompt.
        width: E.
        name: of the method, for the message.

    Raises:
        SoftPromptError: the prompt has no embeddings of its own (another site, or made from each text).
    """
    found = input_rows(producer, width)
    if found is None:
        raise SoftPromptError(
            f"method {name!r} puts no words of its own into the input, so no vocabulary word is near them: "
            "take a prompt of the site 'stream', such as prompt_tuning"
        )
    return found


def stored_rows(path: str | Path) -> tuple[Tensor, Description]:
    """The rows of a prompt file, one a virtual token, fp32 `(P, D)`, and what `prompt.json` says of it.

    A table of several layers `(L, P, H)` gives rows of all layers joined, `(P, L H)`. The backbone is not needed.

    Raises:
        SoftPromptError: no prompt there, a damaged file, or a method that stores no table.
    """
    folder = folder_of(path)
    described = read_description(folder)
    form = read_forms(folder / TENSORS).get("table")
    if form is None or len(form.shape) not in (2, 3) or form.dtypes != ("F32",):
        raise SoftPromptError(
            f"{folder}: method {described.method.name!r} stores no table of virtual tokens, so it cannot be compared"
        )
    table = read_tensors(folder / TENSORS)["table"]
    check_written(folder)
    rows = table if table.ndim == 2 else table.transpose(0, 1).flatten(1)
    return rows, described


def as_text(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """A token as text, a leading space as `_`."""
    piece = str(tokenizer.convert_ids_to_tokens(token))
    text = str(tokenizer.decode([token])).strip()
    if not text or "�" in text:
        return piece
    return f"_{text}" if piece[:1] in ("▁", "Ġ") else text
