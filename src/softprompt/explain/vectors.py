"""The vectors of a saved prompt that can be read: its virtual tokens' embeddings, and its stored rows."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.files.forms import read_forms
from softprompt.files.places import TENSORS, folder_of
from softprompt.files.tensors import read_tensors
from softprompt.files.written import check_written
from softprompt.methods.parts.layers import LayerPrompt
from softprompt.sites.producer import Producer, View
from softprompt.storage.record import Description, read_description


@torch.no_grad()
def embeddings(producer: Producer, width: int, name: str) -> Tensor:
    """What stands in the input at the virtual tokens: fp32, `(P, E)`.

    Args:
        producer: of a loaded prompt.
        width: E.
        name: of the method, for the message.

    Raises:
        SoftPromptError: the prompt has no embeddings of its own (another site, or made from each text).
    """
    # A prompt over layers starts its slots at a neutral vector, which is none of its own.
    own = producer.footprint
    if own.count and own.static and not isinstance(producer, LayerPrompt):
        device = next(producer.parameters(), torch.empty(0)).device
        slots = torch.arange(own.count, device=device)[None]
        none = torch.zeros(1, own.count, dtype=torch.bool, device=device)
        made = producer.embed(View(torch.zeros(1, own.count, width, device=device), slots, none))
        if made is not None:
            return made.detach().reshape(-1, width).float().cpu()
    table = producer.stored().get("table")
    if own.count and not own.hidden_layers and table is not None and table.shape == (own.count, width):
        return table.float().cpu()
    raise SoftPromptError(
        f"method {name!r} puts no words of its own into the input, so no vocabulary word is near them: "
        "take a prompt of the site 'stream', such as prompt_tuning"
    )


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
