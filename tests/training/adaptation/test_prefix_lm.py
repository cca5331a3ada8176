"""The objective of the adaptation, and the stream of its examples."""

from __future__ import annotations

import pytest
import torch

from softprompt.training.adaptation.prefix_lm import IGNORED, Chunk, PrefixLM, Stream, chunks, collate, split_chunk

from ...shared.adaptation import texts
from ...shared.models import EOS, PAD, model, tokenizer


def test_texts_are_cut_and_split_where_the_paper_says() -> None:
    one = " ".join(f"w{index}" for index in range(10, 27))
    found = chunks([one, "w50", "w60 w61"], tokenizer(), 8)
    assert [len(chunk.ids) for chunk in found] == [8, 8, 2]  # a last piece of one token has no place to split
    assert [chunk.last for chunk in found] == [False, False, True]
    assert sum((list(chunk.ids) for chunk in found[:2]), []) == list(range(10, 26))
    closing = (EOS,)
    assert split_chunk(Chunk((10, 11, 12), True), 1, closing).targets == (11, 12, EOS)
    assert split_chunk(Chunk((10, 11, 12), False), 2, closing).targets == (12,)
    assert split_chunk(Chunk((10, 11, 12), False), 2, closing).inputs == (10, 11, EOS)


def test_a_stream_is_a_function_of_seed_and_number() -> None:
    pieces = chunks(texts(), tokenizer(), 8)
    one, same, other = (Stream(pieces, tokenizer(), 200, seed) for seed in (1, 1, 2))
    straight = [one[index] for index in range(len(one))]
    assert [same[index] for index in reversed(range(200))] == straight[::-1]
    assert [other[index] for index in range(200)] != straight
    # Each pass holds every chunk once, whole on its two sides, in another order.
    closing = len(one.closing)
    joined = [(*pair.inputs[: len(pair.inputs) - closing], *pair.targets) for pair in straight]
    passes = [joined[start : start + len(pieces)] for start in (0, len(pieces))]
    wanted = sorted((*chunk.ids, *(one.closing if chunk.last else ())) for chunk in pieces)
    assert [sorted(each) for each in passes] == [wanted, wanted]
    assert passes[0] != passes[1]
    places = {len(pair.inputs) - closing for pair in straight if len(pair.inputs) + len(pair.targets) >= 8}
    assert places >= set(range(1, 7))


def test_the_loss_is_the_cross_entropy_of_the_targets_alone() -> None:
    pieces = chunks(texts(6), tokenizer(), 8)
    pairs = [Stream(pieces, tokenizer(), 4, 0)[index] for index in range(4)]
    total, count = 0.0, 0
    for pair in pairs:
        with torch.no_grad():
            logits = model("t5")(
                input_ids=torch.tensor([pair.inputs]), decoder_input_ids=torch.tensor([[PAD, *pair.targets[:-1]]])
            ).logits[0]
        logs = logits.log_softmax(-1)
        total -= sum(float(logs[place, token]) for place, token in enumerate(pair.targets))
        count += len(pair.targets)
    batch = collate(pairs, PAD)
    assert int((batch["labels"] != IGNORED).sum()) == count
    import copy

    assert float(PrefixLM(copy.deepcopy(model("t5")))(batch).detach()) == pytest.approx(total / count, rel=1e-5)
