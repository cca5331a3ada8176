"""See an attention at work: the softmax weights of every pair of columns, and the scores before the softmax.

Nothing of the model is written a second time. Its attention function runs as ever; beside it the family's own eager
function, which transformers takes for `output_attentions`, is given the very query, keys, values and mask (those of
prefixes among them) and keywords. So rotation, relative bias, windows, scaling, a cap of the scores are the model's
own. The weights are what the eager function returns, the scores what it hands to its softmax; and what it attends to
must be what the model's function gave, or the weights would be another model's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.compat import SOFTMAX, SeesOperations, eager_attention
from softprompt.errors import SoftPromptError
from softprompt.sites.attention import standing_around
from softprompt.sites.written_attention import Attend, is_causal

# Takes an attention, its weights and its scores, each fp32 `(B, heads, Q, K)`; hidden pairs have a score of -inf.
Note: TypeAlias = Callable[[nn.Module, Tensor, Tensor], None]

# How far two attention functions may part, as a share of the largest output: rounding in fp32, and in 16 bits.
_ROUNDING, _ROUNDING_16 = 1e-3, 0.05


@contextmanager
def watching(anatomy: Anatomy, note: Note) -> Iterator[None]:
    """Let `note` see each attention of a backbone that runs here, in the order of their calls.

    Args:
        anatomy: the parts of the backbone.
        note: is told what each call of an attention gives; what runs inside it is not watched.

    Raises:
        SoftPromptError: its attention is no function that could be watched, or runs as neither sdpa nor eager.
    """
    if not anatomy.has_open_attention:
        raise SoftPromptError(
            f"family {anatomy.family!r} has no attention that can be seen: it is not an AttentionInterface function of "
            "transformers"
        )

    def wrap(implementation: str, own: Attend) -> Attend:
        def attend(
            module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **kwargs: object
        ) -> tuple[Tensor, Tensor | None]:
            output, weights = own(module, query, key, value, mask, **kwargs)
            causal = mask is None and is_causal(implementation, module, kwargs)
            seen = additive(mask, query, key, causal=causal)
            note(module, *_looked_at(anatomy.family, module, (query, key, value, seen), kwargs, output))
            return output, weights

        return attend

    parts = [anatomy.body] if anatomy.decoder is None else [anatomy.body, anatomy.decoder]
    with standing_around(wrap, *parts):
        yield


def additive(mask: Tensor | None, query: Tensor, key: Tensor, *, causal: bool) -> Tensor | None:
    """A mask as eager attention takes it, the lowest number of its type at what is hidden; None where all is seen.

    Args:
        mask: as any attention function takes it.
        query: shape `(B, heads, Q, D)`.
        key: shape `(B, K, T, D)`.
        causal: whether the function hides later columns by itself where it is given no mask.
    """
    if mask is None:
        if not causal or query.shape[2] == 1:
            return None
        mask = torch.ones(1, 1, query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=query.dtype, device=mask.device).masked_fill(
        ~mask, torch.finfo(query.dtype).min
    )


class _Scores(SeesOperations):
    """Keeps what is handed to a softmax."""

    found: Tensor | None = None

    def __torch_dispatch__(
        self,
        function: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        if getattr(function, "overloadpacket", None) in SOFTMAX and isinstance(args[0], Tensor):
            self.found = args[0]
        return function(*args, **(kwargs or {}))


def _looked_at(
    family: str,
    module: nn.Module,
    states: tuple[Tensor, Tensor, Tensor, Tensor | None],
    kwargs: dict[str, object],
    output: Tensor,
) -> tuple[Tensor, Tensor]:
    """Weights and scores of one call, fp32 `(B, heads, Q, K)`, if they are those of what the model's function gave.

    Args:
        family: for the message.
        module: the attention.
        states: query, keys, values and the mask as eager attention takes it.
        kwargs: what else the function was given.
        output: what it gave, `(B, Q, heads, D)`.
    """
    # In fp32: eager attention rounds its scores to the type of what it is given, the function that runs may not.
    whole = [None if one is None else one.float() if one.is_floating_point() else one for one in states]
    with _Scores() as softmax:
        again, weights = eager_attention(module)(module, *whole, **kwargs)
    if softmax.found is None or weights is None:
        raise SoftPromptError(f"family {family!r}: its eager attention tells no weights, so they cannot be seen")
    columns = weights.shape[-1]
    scores = softmax.found[..., :columns]
    hidden = scores <= torch.finfo(output.dtype).min / 2
    apart = (again - output).abs().amax(-1).transpose(1, 2).masked_fill(hidden.all(-1), 0)  # padding may see nothing
    most = _ROUNDING_16 if output.dtype.itemsize < 4 else _ROUNDING
    if not bool(apart.max() <= most * output.abs().max().clamp(min=1e-6)):
        raise SoftPromptError(
            f"family {family!r}: its eager attention gives something else than the one that runs, so its weights are "
            "another model's: load the backbone with attn_implementation='eager'"
        )
    return weights.float(), scores.float().masked_fill(hidden, float("-inf"))
