"""`generate` for an attached model: virtual tokens go in once, and the processors of the user's options never see them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from softprompt.errors import SoftPromptError
from softprompt.sites.layout import insert

if TYPE_CHECKING:
    from softprompt.prompted import PromptedModel, Rows


def generate(model: PromptedModel, inputs: Tensor | None, prompts: Rows, **kwargs: Any) -> Any:
    """Generate with each row's prompt.

    Args:
        model: the attached model.
        inputs: the user's ids, `(batch, tokens)`; `input_ids=` does as well.
        prompts: see `PromptedModel.forward`.
        **kwargs: as the model's own `generate` takes them; `max_length` counts the user's tokens.

    Returns:
        What the model's own `generate` returns, without virtual tokens.

    Raises:
        SoftPromptError: assisted decoding, which reads the ids with another model.
    """
    ids = inputs if inputs is not None else kwargs.pop("input_ids", None)
    if ids is None:
        raise SoftPromptError("generate needs input_ids")
    rows = model.rows(prompts, ids.shape[0])
    backbone: Any = model.backbone
    width = max(model.slots[row].count for row in rows)
    if width and any(kwargs.get(name) is not None for name in ("assistant_model", "prompt_lookup_num_tokens")):
        raise SoftPromptError("assisted decoding reads the ids with another model, which has no virtual tokens: leave it out")
    if model.anatomy.kind == "encoder-decoder" or not width:
        with model.calling(rows):
            return backbone.generate(input_ids=ids, **kwargs)
    placed = bool((ids >= model.anatomy.vocab_size).any())
    mask = kwargs.pop("attention_mask", None)
    mask = _mask_of(model, ids) if mask is None else mask
    full, full_mask = ids, mask
    if not placed:
        layout = insert(ids, mask, None, None, model.slots, rows, 0)
        assert layout.mask is not None
        full, full_mask = layout.ids, layout.mask
        _count_in(kwargs, full.shape[1] - ids.shape[1])
    with model.calling(rows, inserting=False), _hidden_from_processors(backbone, model.anatomy.vocab_size):
        output = backbone.generate(input_ids=full, attention_mask=full_mask, **kwargs)
    return _own_ids(output, ids, full.shape[1])


def _mask_of(model: PromptedModel, ids: Tensor) -> Tensor:
    """As transformers infers it: padding where the pad token is none of the end tokens."""
    config: Any = model.backbone.generation_config
    pad, end = config.pad_token_id, config.eos_token_id
    ends = end if isinstance(end, list) else [end]
    return torch.ones_like(ids) if pad is None or pad in ends else ids.ne(pad).long()


def _count_in(kwargs: dict[str, Any], added: int) -> None:
    """Lengths that the user counts in own tokens, in tokens of the whole sequence."""
    for name in ("max_length", "min_length"):
        if kwargs.get(name) is not None:
            kwargs[name] += added


def _own_ids(output: Any, ids: Tensor, full: int) -> Any:
    """The user's ids with the new tokens behind them, in the place of the sequences."""
    sequences = output if isinstance(output, Tensor) else output.sequences
    own = torch.cat([ids.repeat_interleave(sequences.shape[0] // ids.shape[0], 0), sequences[:, full:]], dim=-1)
    if isinstance(output, Tensor):
        return own
    output.sequences = own
    return output


# These count columns and read no id: they must see the whole sequence, whose lengths `generate` was told.
_BY_LENGTH = frozenset(
    {
        "MinLengthLogitsProcessor",
        "MinNewTokensLengthLogitsProcessor",
        "ForcedBOSTokenLogitsProcessor",
        "ForcedEOSTokenLogitsProcessor",
        "ExponentialDecayLengthPenalty",
        "SuppressTokensAtBeginLogitsProcessor",
        "MaxLengthCriteria",
        "MaxTimeCriteria",
        "EosTokenCriteria",
        "ConfidenceCriteria",
    }
)


class _Processor(LogitsProcessor):  # type: ignore[misc]
    """A processor that is shown the text's ids only. It takes no keywords: a list would demand each of them."""

    def __init__(self, inner: Any, vocab_size: int) -> None:
        self.inner, self.vocab_size = inner, vocab_size

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        processed: Tensor = self.inner(_compact(input_ids, self.vocab_size), scores)
        return processed


class _Criterion(StoppingCriteria):  # type: ignore[misc]
    """A stopping criterion that is shown the text's ids only."""

    def __init__(self, inner: Any, vocab_size: int) -> None:
        self.inner, self.vocab_size = inner, vocab_size

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        return self.inner(_compact(input_ids, self.vocab_size), scores, **kwargs)


def _compact(ids: Tensor, vocab_size: int) -> Tensor:
    """Ids without virtual ones; rows that lose more than others get their first own token again in front."""
    virtual = ids >= vocab_size
    lost = virtual.sum(-1, keepdim=True)
    if not int(lost.max()):
        return ids
    order = virtual.long().argsort(dim=-1, descending=True, stable=True)
    moved = ids.gather(1, order)  # [B, T] virtual ids first, the text in its order behind
    first_own = moved.gather(1, lost)
    columns = torch.arange(ids.shape[1], device=ids.device)[None, :]
    return torch.where(columns < lost, first_own, moved)[:, int(lost.min()) :]


@contextmanager
def _hidden_from_processors(backbone: Any, vocab_size: int) -> Iterator[None]:
    """Repetition penalties and their like index the vocabulary by id: show them ids below its size only."""

    def shown(maker: Any, container: Any, wrapper: Any) -> Any:
        def make(*args: Any, **kwargs: Any) -> Any:
            made = maker(*args, **kwargs)
            return container([x if type(x).__name__ in _BY_LENGTH else wrapper(x, vocab_size) for x in made])

        return make

    makers = {
        "_get_logits_processor": (LogitsProcessorList, _Processor),
        "_get_stopping_criteria": (StoppingCriteriaList, _Criterion),
    }
    for name, (container, wrapper) in makers.items():
        backbone.__dict__[name] = shown(getattr(backbone, name), container, wrapper)
    try:
        yield
    finally:
        for name in makers:
            backbone.__dict__.pop(name, None)
