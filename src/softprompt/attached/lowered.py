r"""Static prompts in front of a causal model's text, lowered to the keys and values that its attention makes of them.

No column sees those behind it, so what P virtual tokens in front of a text come to in each layer is the same for every
text: K_l, V_l in R^{K x P x D}, computed once. From then on they stand at the site `attention`, as a prefix does (Li
and Liang, "Prefix-Tuning", ACL 2021, <https://arxiv.org/abs/2101.00190>), and the text's positions begin at P as
before. One tensor a layer serves every row of every batch, and no row's cache holds a copy: the cache has the row's own
columns alone. Our choice; the answers are those of the virtual tokens up to the order of sums. The server lowers the
prompts that it loads, and `predict` the one that it asks, for as long as it answers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import DynamicCache

from softprompt.attached.calling import Calling
from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.cached import cache_name
from softprompt.backbones.windows import longest_unstretched, shortest_window
from softprompt.sites.attention import own_implementation
from softprompt.sites.key_values import key_values
from softprompt.sites.prefix_sharing import can_share, shares_fronts
from softprompt.sites.producer import Producer


class Lowered(Producer):
    """Keys and values that stand for P virtual tokens.

    Args:
        pairs: of each layer the keys and the values, each `(K, P, D)`.
    """

    static = True

    def __init__(self, pairs: list[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.pairs = pairs
        self.prefix = pairs[0][0].shape[1]

    def keys_values(self) -> list[tuple[Tensor, Tensor]]:
        """As they were computed."""
        return self.pairs

    @property
    def bytes(self) -> int:
        """What they take."""
        return sum(one.numel() * one.element_size() for pair in self.pairs for one in pair)


def can_lower(anatomy: Anatomy) -> bool:
    """Whether a family's virtual tokens may be handed to its attention as keys and values instead.

    The attention must take prefixes by keyword, and columns must meet nowhere else.
    """
    if anatomy.kind != "causal" or anatomy.states != 3 or anatomy.counts_columns or cache_name(anatomy.body) is None:
        return False
    if not (anatomy.has_open_attention and anatomy.meets_in_attention):
        return False
    if own_implementation(anatomy.config) not in ("sdpa", "eager"):
        return False
    found = key_values(anatomy)
    return not found.by_cache and all(source == layer for layer, source in enumerate(found.sources))


def reach_of(anatomy: Anatomy) -> int | None:
    """How many columns a prompt and its text may have for each to see the whole prompt as it is; None for any.

    A sliding window leaves what lies behind it, virtual tokens as well; a prefix is seen from everywhere. And the
    prompt's keys are those of a short row.
    """
    limits = shortest_window(anatomy) or None, longest_unstretched(anatomy)
    return min((one for one in limits if isinstance(one, int)), default=None)


def meet_in_fronts(prompted: Calling, index: int) -> bool:
    """Whether rows of a prompt that begin alike share a front, so that it is well if they are in one batch."""
    return prompted.anatomy.kind == "causal" and shares_fronts(prompted.footprints[index])


def lowered_in_front(prompted: Calling, index: int, columns: int) -> Lowered | None:
    """What stands for a prompt in front of some texts; None where it is not what the virtual tokens are.

    Args:
        prompted: the attached model.
        index: of the prompt.
        columns: of the longest text, its answer among them.
    """
    own, reach = prompted.footprints[index], reach_of(prompted.anatomy)
    if not can_share(own) or (reach is not None and columns + own.count > reach):
        return None
    return lower(prompted, index) if prompted.takes_prefixes and can_lower(prompted.anatomy) else None


@torch.inference_mode()
def lower(prompted: Calling, prompt: str | int) -> Lowered | None:
    """The keys and values of an attached prompt; None where they depend on the text, or do not stand in front of it.

    Args:
        prompted: the attached model, of a family that `can_lower`.
        prompt: its name or its index.
    """
    (index,) = prompted.rows([prompt], 1)
    if not can_share(prompted.footprints[index]):
        return None
    slots, anatomy = prompted.slots[index], prompted.anatomy
    ids = slots.base + torch.arange(slots.count, device=next(anatomy.body.parameters()).device)[None]
    cache = DynamicCache()
    with prompted.calling((index,), inserting=False):
        anatomy.body(
            input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True, **{str(cache_name(anatomy.body)): cache}
        )
    pairs = [(keys[0], values[0]) for keys, values, *_ in cache if keys is not None and values is not None]
    return Lowered(pairs)
