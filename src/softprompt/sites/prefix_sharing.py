"""When a batch runs as one row of its own columns: none is padding, and none that rows of a decoder share runs twice.

On a causal model no token sees those behind it. Where a prompt's vectors do not depend on the text either, every row of
it would compute the same P columns; rows that begin alike (`common_fronts`) would compute their front again and again;
and a short row beside a long one computes padding. Here the batch runs as one row instead (`one_row`): each prompt's
virtual tokens, the fronts, and what follows in each row, so that every layer's products take the columns that differ;
inside attention alone they are rows again, each of which sees the keys and values of its prompt and its front, and its
own (`shared_attention`). A prompt that reads the text has virtual tokens in every row, made of that row's columns. Keys
and values at the site `attention` are shared as they are. An encoder's columns see those behind them, so its rows have
nothing in common and lie there whole: what is left out is padding. Our choice; no method's mathematics changes, only
the order of its sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.compat import CACHES, LISTENING, attention_name, twin_name, untwinned
from softprompt.backbones.shown import SHOWN, shows_inside
from softprompt.sites.footprint import Footprint

SHARED_PREFIX = "softprompt_shared_prefix"
_ATTENTION = twin_name("sdpa")  # the one attention that understands it: see `sites/attention.py`
_WORTH = 10  # where rows share nothing, a tenth of the columns is padding, or the rows run as they are
_UNWANTED = (*CACHES, *SHOWN, "position_ids", "token_type_ids")


def can_share(footprint: Footprint) -> bool:
    """Whether a prompt's virtual tokens are the same in every row of a causal model, and all that there is of it."""
    return footprint.stands_before_all and not footprint.joins


def shares_fronts(footprint: Footprint) -> bool:
    """Whether rows of a prompt that begin alike share their front: keys and values know no text, nor do weights."""
    return footprint.stands_before_all or not footprint.count


def why_unshared(
    anatomy: Anatomy, footprints: Sequence[Footprint], rows: tuple[int, ...], given: Mapping[str, object]
) -> str | None:
    """Why a call of the body cannot run its rows as one, in a clause; None where it may.

    The call must want nothing that would show the difference (a cache, attention maps, the states of every layer), and
    the text's rows must meet nowhere but in attention, which alone knows that they are rows. What costs least is looked
    at first.

    Args:
        anatomy: the parts of the backbone.
        footprints: of the bank.
        rows: the prompt of each row.
        given: the body's arguments.
    """
    if torch.compiler.is_compiling():
        return "it is compiled"
    if len(rows) < 2:
        return "there is one row"
    if anatomy.kind == "causal" and given.get("use_cache") is not False:
        return "it may make a cache"
    if not _takes_one_row(anatomy):
        return f"family {anatomy.family!r} is no encoder or decoder that takes position ids and whose states are read"
    wanted = next((name for name, value in given.items() if _is_unwanted(name, value)), None)
    if wanted is not None:
        return f"it is given {wanted}"
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    if not isinstance(ids, Tensor) or not (mask is None or (isinstance(mask, Tensor) and mask.ndim == 2)):
        return "it has no ids and mask of shape (batch, tokens)"
    if mask is not None and not bool(mask.any(-1).all()):
        return "a row has no text"
    if not _pays(anatomy, footprints, rows, ids, mask):
        return "its rows share nothing, and hardly a column is padding"
    if anatomy.kind == "encoder" and _is_heard(anatomy.body):
        return "a hook listens to it, and would hear one row"
    config = anatomy.body.config
    if shows_inside(config, given):
        return "the configuration asks for attention maps, or states or routes of every layer"
    running = attention_name(config)
    if running != _ATTENTION:
        return f"attention runs as {running}"
    return None if anatomy.meets_in_attention else "columns meet elsewhere than in full or sliding attention"


def why_rows_stay_apart(anatomy: Anatomy) -> str | None:
    """Why no batch of a backbone runs as one row, in a clause; None where one may."""
    if not (_takes_one_row(anatomy) and anatomy.has_open_attention and anatomy.meets_in_attention):
        return f"family {anatomy.family!r} is no model whose columns meet in full or sliding attention alone"
    running = untwinned(attention_name(anatomy.body.config))
    return None if running == "sdpa" else f"attention runs as {running}"


def _takes_one_row(anatomy: Anatomy) -> bool:
    decodes = anatomy.kind == "causal" and anatomy.stack is anatomy.body
    encodes = anatomy.kind == "encoder" and anatomy.positions is None  # the stack inside it is what a pooler reads
    return anatomy.takes_position_ids and (decodes or encodes)


def _pays(
    anatomy: Anatomy, footprints: Sequence[Footprint], rows: Sequence[int], ids: Tensor, mask: Tensor | None
) -> bool:
    """Whether one row leaves columns out: those that rows share, or padding in a number that is worth it."""
    causal = anatomy.kind == "causal"
    if causal and any(times > 1 and shares_fronts(footprints[row]) for row, times in Counter(rows).items()):
        return True
    counts = [footprints[row].count for row in rows]
    columns = len(rows) * (ids.shape[1] + max(counts))
    run = (ids.numel() if mask is None else int(mask.bool().sum())) + sum(counts)
    return _WORTH * (columns - run) >= columns


def _is_heard(body: nn.Module) -> bool:
    """Whether a user's hooks are told of what runs; transformers' own ask for nothing here."""
    found = (hook for module in body.modules() for name in LISTENING for hook in vars(module)[name].values())
    return any(not getattr(hook, "__module__", "").startswith("transformers.") for hook in found)


def _is_unwanted(name: str, value: object) -> bool:
    """Whether something that a body is given would show the difference, or has rows of its own, such as images."""
    if name in _UNWANTED:
        return value is not None and value is not False
    return isinstance(value, Tensor) and name not in ("input_ids", "attention_mask")
