"""Calls of a model whose encoder reads sounds or images, and whose decoder alone takes prompts (Whisper).

Its virtual tokens go in where the decoder is called, at the first call of a sequence, so that neither the encoder nor
`generate` knows of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import methodcaller

from torch import Tensor
from torch.nn import functional

from softprompt.backbones.anatomy import Anatomy
from softprompt.errors import SoftPromptError
from softprompt.sites.attached import Attached, Rows


def check_heard(anatomy: Anatomy, given: Mapping[str, object]) -> None:
    """Refuse ids where a model hears, for its decoder's go by another name.

    Raises:
        SoftPromptError: the arguments hold `input_ids`, or nothing for the decoder.
    """
    text = any(given.get(name) is not None for name in ("decoder_input_ids", "decoder_inputs_embeds", "labels"))
    if anatomy.source and (given.get("input_ids") is not None or not text):
        raise SoftPromptError(
            f"family {anatomy.family!r} reads {anatomy.source}, and its decoder text: pass {anatomy.source} with "
            "decoder_input_ids or labels, not input_ids"
        )


def unlabelled(anatomy: Anatomy, given: Mapping[str, object]) -> Tensor | None:
    """The columns that may condition a prompt, bool: those without a label, which teacher forcing would leak.

    Args:
        anatomy: of the model; where it hears, its decoder reads the labels moved one column on.
        given: its arguments.

    Returns:
        Shape `(batch, tokens)`; None for all.
    """
    ids, labels = given.get("input_ids"), given.get("labels")
    if not isinstance(labels, Tensor):
        return None
    if anatomy.source:
        return functional.pad(labels[:, :-1].eq(-100), (1, 0), value=True)
    if anatomy.kind != "causal":
        return None
    return labels.eq(-100) if isinstance(ids, Tensor) and labels.shape == ids.shape else None


def generate_heard(model: Attached, inputs: Tensor | None, prompts: Rows, kwargs: dict[str, object]) -> object:
    """The model's own `generate`, in a call in which the prompts work.

    Args:
        model: the attached model.
        inputs: what its encoder reads; under its own name it does as well.
        prompts: see `PromptedModel.forward`.
        kwargs: as the model's own `generate` takes them.

    Raises:
        SoftPromptError: nothing to hear, or an option that cannot work with virtual tokens.
    """
    source = model.anatomy.source
    heard = kwargs.pop(source, None) if inputs is None else inputs
    if not isinstance(heard, Tensor):
        raise SoftPromptError(f"generate needs {source}")
    rows = model.rows(prompts, heard.shape[0])
    # Long recordings are heard in batches that lose the rows which end.
    rows = rows[:1] if len(set(rows)) == 1 else rows
    with model.calling(rows) as call:
        own = [call.footprints[row] for row in set(rows) if call.footprints[row].count]
        if any(one.placement == "end" for one in own):
            raise SoftPromptError("a prompt at the end of what a decoder reads moves on: set placement to 'front'")
        if kwargs.get("use_cache") is False and not all(one.static for one in own):
            raise SoftPromptError("without a cache generated tokens would condition this prompt: leave use_cache out")
        if own and kwargs.get("output_hidden_states"):
            raise SoftPromptError("generate cannot take 'output_hidden_states' with virtual tokens here: ask forward")
        return methodcaller("generate", **{source: heard}, **kwargs)(model.backbone)
