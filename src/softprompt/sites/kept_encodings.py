"""Prompts in the decoder alone: what the encoder makes of a text is the same at every step, and is kept.

Then a step runs the decoder alone, over the encoder's states of each row; padding has zeros, which nobody sees. Our
choice; no method's mathematics changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.shown import SHOWN
from softprompt.sites.asking import opened
from softprompt.sites.attention import watcher
from softprompt.sites.behind_texts import (
    TOLD,
    Run,
    counted_over,
    counts_plainly,
    run_behind_texts,
    tell_positions,
)
from softprompt.sites.footprint import Footprint
from softprompt.sites.forward_call import Call
from softprompt.sites.kept_texts import Ids, batch_of, texts_of
from softprompt.sites.outputs import Output, states_of


def encodes_apart(anatomy: Anatomy) -> bool:
    """Whether a family's encoder hands plain states of its tokens to a decoder that is called by itself."""
    plain = anatomy.states == 3 and anatomy.uncounted is None and not anatomy.counts_columns
    return anatomy.kind == "encoder-decoder" and anatomy.decoder is not None and plain


def leaves_encoder(footprint: Footprint) -> bool:
    """Whether a prompt has no part in the encoder."""
    return footprint.count == 0 and footprint.prefix == 0


def run_over_kept(call: Call, anatomy: Anatomy, given: dict[str, object], run: Run) -> Output:
    """A body's output over what is kept of its texts: an encoder's, or that behind the texts of a causal model.

    Args:
        call: the open call, whose layout is the batch's.
        anatomy: the parts of the backbone.
        given: the body's arguments.
        run: runs it.
    """
    encodes = anatomy.decoder is not None
    return (_encoded if encodes else run_behind_texts)(call, anatomy, given, run)


def _encoded(call: Call, anatomy: Anatomy, given: dict[str, object], run: Run) -> Output:
    """An encoder's output, of texts that are kept without a run of it."""
    kept, layout = call.kept_texts, call.layout
    if kept is None or layout is None or not kept.serves or not _may_take(call, given):
        return run(**given)
    ids, own = layout.ids, layout.seen
    if not counts_plainly(layout, counted_over(own, anatomy)):
        return run(**given)
    texts = texts_of(ids, own)
    distinct = dict.fromkeys(texts)
    missing = [text for text in distinct if text not in kept]
    if len(missing) == len(distinct) and not kept.fills:
        return run(**given)
    made = {text: kept[text] for text in texts if text in kept}
    if missing:
        computed = kept.of(missing, lambda: _run_texts(call, anatomy, missing, run))
        if not computed:
            kept.serves = False
            return run(**given)
        made |= dict(zip(missing, computed, strict=True))
    states = torch.cat([made[text] for text in texts])
    whole = states.new_zeros(*ids.shape, states.shape[-1]).index_put(own.nonzero(as_tuple=True), states)
    return cast("Output", BaseModelOutput(last_hidden_state=whole))


def _may_take(call: Call, given: Mapping[str, object]) -> bool:
    if torch.compiler.is_compiling() or watcher() is not None or call.shows_states or call.dropout or call.stand_ins:
        return False
    if not all(leaves_encoder(call.footprints[row]) for row in set(call.rows)):
        return False
    if given.get("return_dict") is False or any(given.get(name) for name in SHOWN):
        return False
    others = [name for name, value in given.items() if isinstance(value, Tensor) and name not in TOLD]
    mask = given.get("attention_mask")
    return given.get("input_ids") is not None and not others and (mask is None or isinstance(mask, Tensor))


def _run_texts(call: Call, anatomy: Anatomy, texts: Sequence[Ids], run: Run) -> list[Tensor]:
    """The encoder's states of texts, `(n, H)` each; none of an encoder that tells more than its states."""
    assert call.layout is not None
    ids, mask = batch_of(texts, call.layout.ids.device)
    inner = replace(call, layout=None, calls={}, batch=len(texts))
    with torch.no_grad(), opened(inner):
        output = run(input_ids=ids, attention_mask=mask, **tell_positions(inner, anatomy, counted_over(mask, anatomy)))
    if not isinstance(output, Mapping) or [name for name, one in output.items() if one is not None] != [
        "last_hidden_state"
    ]:
        return []  # as a mixture's, with its router
    return [states[: len(text)] for text, states in zip(texts, states_of(output), strict=True)]
