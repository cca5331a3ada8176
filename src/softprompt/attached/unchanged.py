"""What of a backbone must stay as its prompts found it, as far as a change would be silently wrong."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedTokenizerBase

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.compat import compiles_calls
from softprompt.backbones.resting import device_of
from softprompt.backbones.structure import input_embedding, weight_of
from softprompt.backbones.vocabulary import check_tokens, token_count
from softprompt.errors import SoftPromptError


class Unchanged:
    """A backbone and its tokenizer when prompts are attached, looked at again before each call."""

    def __init__(self, backbone: nn.Module, anatomy: Anatomy, tokenizer: PreTrainedTokenizerBase | None) -> None:
        """Look at them.

        Raises:
            SoftPromptError: layers work on several devices, a text can hold ids of virtual tokens, or it cannot be told
                which ids these are.
        """
        self._backbone, self._anatomy, self._tokenizer = backbone, anatomy, tokenizer
        self._check_devices()
        words = getattr(anatomy.embedding, "num_embeddings", anatomy.vocab_size)
        if words != anatomy.vocab_size:
            raise SoftPromptError(
                f"the input embedding packs its {words} words into {anatomy.vocab_size} rows, and where virtual ids "
                "begin cannot be told: load it unquantised"
            )
        check_tokens(tokenizer, anatomy.vocab_size)
        self._tokens = token_count(tokenizer)
        self._embeds_itself = input_embedding(anatomy.body) is anatomy.embedding

    def check(self) -> None:
        """See that they are as they were.

        Raises:
            SoftPromptError: they are not.
        """
        part, again = self._anatomy, "since the prompts were attached: attach again"
        if compiles_calls(self._backbone) or compiles_calls(part.body):
            raise SoftPromptError("the backbone was compiled while prompts are attached: compile the attached model")
        rows = weight_of(part.embedding).shape[0]
        if rows != part.vocab_size:
            raise SoftPromptError(f"the backbone's vocabulary was resized from {part.vocab_size} to {rows} {again}")
        if self._embeds_itself and input_embedding(part.body) is not part.embedding:
            raise SoftPromptError(f"the backbone's input embedding was replaced {again}")
        if token_count(self._tokenizer) != self._tokens:
            check_tokens(self._tokenizer, rows)
            self._tokens = token_count(self._tokenizer)

    def _check_devices(self) -> None:
        """What a call knows of its batch must be where every layer works."""
        parts = (self._anatomy.embedding, *self._anatomy.layers, *self._anatomy.decoder_layers)
        found = dict.fromkeys(str(device_of(part)) for part in parts)
        if len(found) > 1:
            raise SoftPromptError(
                f"the backbone's layers work on several devices ({', '.join(found)}): load it for one, "
                "as device_map={'': 0}, and let rest on the CPU or a disk what has no room there"
            )
