"""What a plain model gives for embeddings that were put together by hand: the yardstick of methods at `stream`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .models import ENCODER_DECODERS, ids, model, padded
from .prompts import TARGET, close, logits

FAMILIES = ("bert", "albert", "t5", "llama", "gemma3")
ROWS = [ids(7, 1), ids(4, 2), ids(5, 3)]


@torch.no_grad()
def embedded(family: str, row: Tensor) -> Tensor:
    """A row's own embeddings, `(N, E)`."""
    return model(family).get_input_embeddings()(row)[0]


@torch.no_grad()
def by_embeddings(family: str, prompt: Tensor, text: Tensor) -> Tensor:
    """Logits at the text `(N, E)` behind a prompt `(P, E)` (an encoder-decoder's: at TARGET)."""
    whole = torch.cat([prompt, text])[None]
    if family in ENCODER_DECODERS:
        return model(family)(inputs_embeds=whole, decoder_input_ids=TARGET).logits[0]
    return model(family)(inputs_embeds=whole).logits[0, len(prompt) :]


@torch.no_grad()
def agrees(prompted: object, family: str, prompts: Sequence[Tensor], texts: Sequence[Tensor] | None = None) -> None:
    """The attached model, padded on either side, against each of ROWS by hand, to 1e-5."""
    texts = [embedded(family, row) for row in ROWS] if texts is None else texts
    by_hand = [by_embeddings(family, prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
    for side in ("left", "right"):
        for found, expected in zip(logits(prompted, *padded(ROWS, side)), by_hand, strict=True):  # type: ignore[arg-type]
            close(found, expected, 1e-5)
