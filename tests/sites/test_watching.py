"""What is seen of attention: transformers' own `output_attentions`, and the scores that these weights come from."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softprompt.backbones.anatomy import read_anatomy
from softprompt.methods import CaPT, PrefixTuning, PromptTuning
from softprompt.sites.watching import additive, watching

from ..shared.models import ENCODER_DECODERS, FAMILIES, fresh, ids, model, padded
from ..shared.prompts import attached, call, close, fails, logits

ROWS = [ids(12), ids(7, seed=1)]
METHODS = {"capt": CaPT(), "prefix": PrefixTuning(num_virtual_tokens=2, encoder_hidden_size=8)}


class Kept:
    """All that a note is told, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[nn.Module, Tensor, Tensor]] = []

    def __call__(self, module: nn.Module, weights: Tensor, scores: Tensor) -> None:
        self.calls.append((module, weights, scores))


def batch(family: str) -> tuple[Tensor, Tensor]:
    return padded(ROWS, "left" if family not in ENCODER_DECODERS else "right")


@torch.no_grad()
def seen(family: str, method: str, **options: Any) -> list[tuple[nn.Module, Tensor, Tensor]]:
    kept, backbone = Kept(), model(family, **options)
    with attached(backbone, METHODS[method]) as prompted, watching(read_anatomy(backbone), kept):
        call(prompted, *batch(family), use_cache=False)
    return kept.calls


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_weights_are_those_that_transformers_gives_where_attention_is_eager(family: str, method: str) -> None:
    """Rotation, relative bias, sliding windows, grouped heads, prefixes and cross-attention are the model's own."""
    found = seen(family, method)
    backbone = fresh(family, attention="eager")
    with attached(backbone, METHODS[method]) as prompted, torch.no_grad():
        out = call(prompted, *batch(family), use_cache=False, output_attentions=True)
    given = (
        [
            *out.encoder_attentions,
            *(x for pair in zip(out.decoder_attentions, out.cross_attentions, strict=True) for x in pair),
        ]
        if family in ENCODER_DECODERS
        else [*out.attentions]
    )
    assert len(given) == len(found) >= 3
    for expected, (_, weights, _) in zip(given, found, strict=True):
        assert weights.shape == expected.shape
        rows = weights.sum(-1) > 0.5
        torch.testing.assert_close(weights[rows], expected[rows], atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["bert", "t5", "gemma3"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_softmax_of_the_scores_is_the_weights(family: str, attention: str) -> None:
    for _, weights, scores in seen(family, "capt", attention=attention):
        some = scores.isfinite().any(-1)
        close(scores.softmax(-1)[some], weights[some], 1e-6)
        close(weights.sum(-1)[some], torch.ones(()).expand(int(some.sum())), 1e-5)
        assert not weights[some][scores[some].isinf()].any()


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
def test_whoever_is_watched_answers_as_ever(family: str) -> None:
    """Also where a batch would run as one row: while it is watched, its rows are rows."""
    kept, backbone = Kept(), model(family)
    with attached(backbone, PromptTuning(num_virtual_tokens=2)) as prompted, torch.no_grad():
        before = logits(prompted, *batch(family), use_cache=False)
        with watching(read_anatomy(backbone), kept):
            watched = logits(prompted, *batch(family), use_cache=False)
        count = len(kept.calls)
        call(prompted, *batch(family), use_cache=False)
    for one, other in zip(watched, before, strict=True):
        close(one, other)
    assert kept.calls[0][1].shape[0] == 2
    assert len(kept.calls) == count


def test_a_mask_becomes_what_eager_attention_adds() -> None:
    query, key, least = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 2, 4), torch.finfo(torch.float32).min
    made = additive(None, query, key, causal=True)
    assert made is not None
    assert made.tolist() == [[[[0.0, least], [0.0, 0.0]]]]
    shown = additive(torch.tensor([[True, False]]), query, key, causal=False)
    assert shown is not None
    assert shown.tolist() == [[0.0, least]]
    assert additive(None, query, key, causal=False) is None


def test_weights_of_another_attention_than_the_one_that_runs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = model("llama")
    family = sys.modules[type(backbone).__module__]
    own = family.eager_attention_forward

    def other(module: nn.Module, query: Tensor, *args: Any, **kwargs: Any) -> Any:
        return own(module, query * 2, *args, **kwargs)

    monkeypatch.setattr(family, "eager_attention_forward", other)
    with fails("another model's: load the backbone with attn_implementation='eager'"):
        seen("llama", "capt")
    with attached(backbone, CaPT()) as prompted, torch.no_grad():
        call(prompted, ids(5))  # unwatched it runs
