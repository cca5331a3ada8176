"""The head of a language model: whether there is one, and its rows at label words."""

from __future__ import annotations

import pytest
import torch

from softprompt.backbones.heads import has_lm_head, label_rows

from ..shared.models import CORE, ids, model


@pytest.mark.parametrize("family", CORE)
def test_a_language_model_has_one_and_its_body_has_none(family: str) -> None:
    whole = model(family)
    assert has_lm_head(whole)
    assert not has_lm_head(whole.get_encoder() if whole.config.is_encoder_decoder else whole.base_model)


@pytest.mark.parametrize("family", CORE)
def test_label_rows_give_the_logits_of_their_words(family: str) -> None:
    """Of several tokens the mean of theirs: the head's own answer to its input, to rounding."""
    whole, labels = model(family), [(10,), (11, 12)]
    states: list[torch.Tensor] = []
    handle = whole.get_output_embeddings().register_forward_hook(lambda module, args, out: states.append(args[0]))
    with torch.no_grad():
        given = {"decoder_input_ids": ids(3)} if whole.config.is_encoder_decoder else {}
        logits = whole(input_ids=ids(5), **given).logits
    handle.remove()
    rows, bias = label_rows(whole, labels)
    assert rows.dtype == bias.dtype == torch.float32
    found = states[0] @ rows.T + bias
    expected = torch.stack([logits[..., list(label)].mean(-1) for label in labels], dim=-1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
