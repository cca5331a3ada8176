"""What a prompt goes on with: alike in every batch, and what single rows give that are neither padded nor gathered."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from softprompt.attached.model import PromptedModel
from softprompt.evaluation.harness.asking import Asking, Context, Pair
from softprompt.methods import PromptTuning
from softprompt.readouts.candidates import Candidates
from softprompt.tasks import Task

from ...shared.continuations import CAUSAL, SEQ2SEQ, chain
from ...shared.models import BOS, EOS, model
from ...shared.prompts import METHODS, tiny
from ...shared.readouts import TEXTS, ids_of, made

# Every length of a context with every other of an answer, so that a batch pads both.
PAIRS = [
    Pair((BOS, *range(20, 20 + 3 * place)), tuple(range(60 + place, 60 + place + 1 + place % 3)))
    for place in (3, 1, 4, 0, 2)
]
CONTEXTS = [Context(pair.context) for pair in PAIRS]
QUICK: dict[str, Any] = {"max_new_tokens": 4, "eos_token_id": EOS, "do_sample": False}


def asked(prompted: PromptedModel, batch_size: int) -> Asking:
    return Asking(prompted, prompted.names[0], batch_size)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_continuation_scores_alike_in_every_batch(name: str) -> None:
    with tiny("llama", name) as prompted:
        alone, together = (asked(prompted, size).scores(PAIRS) for size in (1, 8))
        for one, other, pair in zip(alone, together, PAIRS, strict=True):
            assert one == pytest.approx(other, abs=2e-4)
            assert one == pytest.approx(chain(prompted, pair), abs=2e-4)


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_a_decoder_scores_alike_in_every_batch(name: str) -> None:
    start = model("t5").config.decoder_start_token_id
    with tiny("t5", name) as prompted:
        alone, together = (asked(prompted, size).scores(PAIRS) for size in (1, 8))
        for one, other, pair in zip(alone, together, PAIRS, strict=True):
            assert one == pytest.approx(other, abs=2e-4)
            begun = torch.tensor([[start, *pair.answer[:-1]]])
            with torch.no_grad():
                logits = prompted(input_ids=torch.tensor([pair.context]), decoder_input_ids=begun).logits[0]
            logs = logits.double().log_softmax(-1)
            assert one[0] == pytest.approx(float(logs.gather(1, torch.tensor(pair.answer)[:, None]).sum()), abs=2e-4)


@pytest.mark.parametrize("family", ["gpt2", "gemma3", "qwen3"])
@pytest.mark.parametrize("name", ["capt", "idpg"])
def test_a_prompt_that_reads_the_text_reads_neither_padding_nor_answers(family: str, name: str) -> None:
    with tiny(family, name) as prompted:
        together = asked(prompted, 8).scores(PAIRS)
        assert [one for one, _ in together] == pytest.approx([chain(prompted, pair)[0] for pair in PAIRS], abs=2e-4)


def test_what_is_likeliest_is_greedy() -> None:
    with tiny("llama", "capt") as prompted:
        for context in CONTEXTS:
            (new,) = asked(prompted, 1).written([context], (), QUICK | {"max_new_tokens": 3})
            pairs = [Pair(context.ids, new), Pair(context.ids, (*new[:-1], (new[-1] + 1) % 90))]
            assert [greedy for _, greedy in asked(prompted, 2).scores(pairs)] == [True, False]


def test_at_the_end_of_a_text_is_before_its_answer() -> None:
    with tiny("llama", PromptTuning(num_virtual_tokens=3, placement="end")) as prompted:
        base = prompted.slots[0].base
        for context in CONTEXTS:
            placed = torch.tensor([[*context.ids, base, base + 1, base + 2]])
            with torch.no_grad():
                logs = prompted(input_ids=placed).logits[0, -1].log_softmax(-1)
            answers = [Pair(context.ids, (token,)) for token in (7, 42)]
            scores = [score for score, _ in asked(prompted, 2).scores(answers)]
            assert scores == pytest.approx([float(logs[7]), float(logs[42])], abs=1e-4)
            assert asked(prompted, 1).written([context], (), QUICK | {"max_new_tokens": 1}) == [(int(logs.argmax()),)]


@pytest.mark.parametrize("name", CAUSAL)
def test_what_is_written_is_alike_in_every_batch(name: str) -> None:
    with tiny("llama", name) as prompted:
        alone, together = (asked(prompted, size).written(CONTEXTS, (), QUICK) for size in (1, 8))
        for context, one, other in zip(CONTEXTS, alone, together, strict=True):
            assert _ended(one) == _ended(other)
            ids = list(context.ids)
            for token in _ended(one):  # step by step, without a cache
                seen = torch.arange(len(ids))[None] < len(context.ids)
                with torch.no_grad():
                    logits = prompted(input_ids=torch.tensor([ids]), conditioning_mask=seen).logits[0, -1]
                assert int(logits.argmax()) == token
                ids.append(token)


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_a_decoder_writes_alike_in_every_batch(name: str) -> None:
    with tiny("t5", name) as prompted:
        alone, together = (asked(prompted, size).written(CONTEXTS, (), QUICK) for size in (1, 8))
        assert list(map(_ended, alone)) == list(map(_ended, together))
        for context, one in zip(CONTEXTS, alone, strict=True):
            begun = [model("t5").config.decoder_start_token_id]
            for token in _ended(one):  # step by step, without a cache
                with torch.no_grad():
                    out = prompted(input_ids=torch.tensor([context.ids]), decoder_input_ids=torch.tensor([begun]))
                assert int(out.logits[0, -1].argmax()) == token
                begun.append(token)


def _ended(ids: tuple[int, ...]) -> tuple[int, ...]:
    """What stands before the padding behind an end."""
    return ids[: ids.index(EOS) + 1] if EOS in ids else ids


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_row_ends_where_one_of_its_texts_stands_and_not_before(family: str) -> None:
    """A text that stands in the context ends nothing, and each row ends for itself."""
    with tiny(family, "capt") as prompted:
        whole = asked(prompted, 8).written(CONTEXTS, (), QUICK | {"max_new_tokens": 6})
        words = [[f"w{token}" for token in ids if token >= 5] for ids in whole]
        ends = [row[1] for row in words if len(row) > 1][:1]
        short = asked(prompted, 8).written(CONTEXTS, ends, QUICK | {"max_new_tokens": 6})
        for one, other in zip(whole, short, strict=True):
            place = next((place for place, token in enumerate(one) if f"w{token}" == ends[0]), len(one))
            assert other[: place + 1] == one[: place + 1]
            assert set(other[place + 1 :]) <= {0}
        in_context = prompted.tokenizer.decode(CONTEXTS[0].ids[-1:])
        assert all(in_context not in row for row in words)
        again = asked(prompted, 8).written(CONTEXTS, [in_context], QUICK | {"max_new_tokens": 6})
        assert again == whole


@pytest.mark.parametrize("name", ["capt", "prompt_tuning", "p_tuning_v2", "lora"])
def test_scores_are_those_of_the_library(name: str) -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10 w11", "1": "w12 w13"})
    prompted, readout = made(task, "llama", METHODS[name])
    assert isinstance(readout, Candidates)
    with prompted, torch.no_grad():
        batch = readout.collate([readout.encode(row) for row in task.rows_of(TEXTS)])
        own = readout.outputs(prompted, batch).tolist()
        labels = [tuple(ids_of(words)) for words in ("w10 w11", "w12 w13")]
        pairs = [Pair(tuple(ids_of(text)), label) for text in TEXTS for label in labels]
        found = [score for score, _ in asked(prompted, 4).scores(pairs)]
    assert found == pytest.approx([score for row in own for score in row], abs=1e-4)
