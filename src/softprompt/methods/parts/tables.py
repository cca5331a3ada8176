"""Initial values of prompt tables (METHODS: Prompt Tuning, initialisation)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from softprompt.backbones.resting import device_of
from softprompt.backbones.structure import layers_of
from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext
from softprompt.methods.parts.first_pass import twin
from softprompt.methods.parts.vocabulary import frequent_words

# Lester et al. sample among the 5,000 first ids, which are T5's most frequent pieces (SentencePiece sorts them).
POPULATION = 5000


def normal(shape: Sequence[int], std: float, context: BuildContext) -> Tensor:
    """Draws from N(0, std^2), fp32."""
    return torch.randn(*shape, generator=context.generator) * std


def uniform(shape: Sequence[int], bound: float, context: BuildContext) -> Tensor:
    """Draws from the uniform distribution on [-bound, bound], fp32 (Lester et al.: 0.5)."""
    return (torch.rand(*shape, generator=context.generator) * 2 - 1) * bound


def population(context: BuildContext) -> Tensor:
    """Ids of the most frequent words and beginnings of words; see `frequent_words`. Without a tokenizer: the first."""
    size = context.anatomy.vocab_size
    if context.tokenizer is None:
        return torch.arange(min(POPULATION, size))
    return torch.tensor(frequent_words(context.tokenizer, size, POPULATION))


def sampled_vocabulary(count: int, context: BuildContext) -> Tensor:
    """Embeddings of tokens drawn from the most frequent words of the vocabulary: `(count, E)`.

    Without replacement unless there are fewer words than rows.
    """
    pieces = population(context)
    if count <= len(pieces):
        chosen = pieces[torch.randperm(len(pieces), generator=context.generator)[:count]]
    else:
        chosen = pieces[torch.randint(len(pieces), (count,), generator=context.generator)]
    return context.embed(chosen.tolist()).cpu()


def neutral(context: BuildContext) -> Tensor:
    """The mean embedding of frequent pieces, `(1, E)`: what slots hold that no prompt has written yet.

    Our choice. Zeros would do as well for the text, but not for a gradient: a norm has 1 / sqrt(eps) there,
    in every layer. The tokenizer has no part in it, so that a loaded prompt finds the same.
    """
    return context.rows(range(min(POPULATION, context.anatomy.vocab_size))).mean(0, keepdim=True)


def word_states(count: int, context: BuildContext) -> Tensor:
    """The frozen model's own states of drawn frequent words before each of its layers: `(L, count, H)`, fp32.

    The words stand at positions 0, 1, ... of a text of their own.
    """
    pieces = population(context)
    order = torch.randperm(len(pieces), generator=context.generator)
    order = order[: min(count, context.anatomy.max_positions or count)]
    return _states(pieces[order], context)[:, torch.arange(count) % len(order)]


def state_sizes(context: BuildContext) -> list[float]:
    """How long a state is before each layer, as a root mean square: the median over a text of 16 tokens.

    The median, for a first token's state may be a thousand times as long as all others (Gemma 3). The tokenizer has no
    part in it, so that a prompt that goes on from a stored one finds the same.
    """
    if context.sketch:
        return [1.0] * context.anatomy.num_layers
    count = min(16, context.anatomy.max_positions or 16)
    ids = torch.linspace(0, context.anatomy.vocab_size - 1, count).long()
    sizes: list[float] = _states(ids, context).square().mean(-1).sqrt().median(-1).values.tolist()
    return sizes


@torch.no_grad()
def _states(ids: Tensor, context: BuildContext) -> Tensor:
    """States of a text `(T,)` before each layer, `(L, T, H)`, fp32."""
    part, found = context.anatomy, list[Tensor]()

    def record(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        states = args[0] if args else kwargs["hidden_states"]
        assert isinstance(states, Tensor)
        found.append(states[0].float().cpu())

    # Hooks on a twin: others may call the model meanwhile, and `output_hidden_states` leaves its own there for good.
    body = twin(part.body)
    for layer in dict.fromkeys(layers_of(body, part.config)):
        layer.register_forward_pre_hook(record, with_kwargs=True)
    body(input_ids=ids.to(device_of(body))[None])
    return torch.stack(found)


def text(count: int, words: str, context: BuildContext) -> Tensor:
    """Embeddings of a text's tokens, cut to `count` or filled with sampled vocabulary: `(count, E)`."""
    ids = context.tokens(words)[:count]
    rows = context.embed(ids).cpu()
    return rows if len(ids) == count else torch.cat([rows, sampled_vocabulary(count - len(ids), context)])


def class_labels(count: int, context: BuildContext, instead: tuple[str, ...] = ()) -> Tensor:
    """One row a label word (the mean over its pieces), the rest sampled vocabulary: `(count, E)`.

    Args:
        count: of rows.
        context: of the prompt.
        instead: words to take in the place of label words, as Lester et al. do for ReCoRD and WSC (section 3).

    Raises:
        SoftPromptError: no label words are known, and no others given.
    """
    if not (instead or context.label_words):
        raise SoftPromptError(
            "init 'class_labels' needs a task with label words: set init_words, or choose another `init`"
        )
    words = (instead or context.label_words)[:count]
    rows = torch.stack([context.embed(context.tokens(word)).mean(0).cpu() for word in words])
    return rows if len(words) == count else torch.cat([rows, sampled_vocabulary(count - len(words), context)])
