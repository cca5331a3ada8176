"""`generate` with every option: as if the virtual tokens were words that nobody else sees."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.generation.streamers import BaseStreamer

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError
from softprompt.methods import PromptTuning

from ..shared.models import EOS, MASK, PAD, ids, model, padded, tokenizer
from ..shared.prompts import attached, close, every_decoder, every_generative, every_method, producer, tiny

WORDS = torch.tensor([[21, 34, 47, 60]])
ROWS = [ids(7, 1), ids(3, 2), ids(5, 3)]


def worded(family: str, placement: str = "front") -> Any:
    """A prompt whose vectors are the embeddings of WORDS."""
    backbone = model(family)
    made = producer(backbone, PromptTuning(num_virtual_tokens=4, placement=placement))
    with torch.no_grad():
        made.table.copy_(backbone.get_input_embeddings()(WORDS)[0])
    return made


def with_words(row: Tensor, placement: str) -> Tensor:
    at = {"front": 0, "after_bos": 1, "end": row.shape[1]}[placement]
    return torch.cat([row[:, :at], WORDS, row[:, at:]], dim=1)


class HiddenWords(LogitsProcessor):
    """A plain model's processor that is not shown the four words."""

    def __init__(self, inner: Any, at: int) -> None:
        self.inner, self.at = inner, at

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return self.inner(torch.cat([input_ids[:, : self.at], input_ids[:, self.at + 4 :]], dim=1), scores)


@every_generative
@pytest.mark.parametrize("placement", ["front", "after_bos", "end"])
@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": False},
        {"num_beams": 3, "do_sample": False},
        {"num_beams": 3, "num_return_sequences": 2, "do_sample": False},
        {"do_sample": True, "top_k": 20, "temperature": 1.3, "num_return_sequences": 3},
        {"do_sample": False, "use_cache": False},
        {"do_sample": False, "cache_implementation": "static"},
    ],
    ids=["greedy", "beams", "beams-2", "sampled", "uncached", "static"],
)
def test_vectors_of_words_are_these_words(family: str, placement: str, options: dict[str, Any]) -> None:
    row, common = ids(5, 3), {"max_new_tokens": 8, "min_new_tokens": 8, **options}
    literal = with_words(row, placement)
    torch.manual_seed(3)
    plain = model(family).generate(literal, attention_mask=torch.ones_like(literal), **common)
    with attach(model(family), tokenizer(), worded(family, placement)) as prompted:
        torch.manual_seed(3)
        found = prompted.generate(row, attention_mask=torch.ones_like(row), **common)
        assert found[:, -8:].tolist() == plain[:, -8:].tolist()
        if prompted.anatomy.kind == "causal":
            assert found[:, :5].tolist() == row.expand(len(found), -1).tolist()
            assert found.shape == (len(plain), 13)


@every_decoder
@pytest.mark.parametrize("placement", ["front", "after_bos", "end"])
def test_repetition_is_punished_for_the_text_alone(family: str, placement: str) -> None:
    """The words behind the vectors are not the user's, so no penalty speaks of them."""
    row = ids(5, 3)
    literal, at = with_words(row, placement), {"front": 0, "after_bos": 1, "end": 5}[placement]
    hidden = HiddenWords(RepetitionPenaltyLogitsProcessor(5.0), at)
    common = {"max_new_tokens": 12, "min_new_tokens": 12, "do_sample": False}
    plain = model(family).generate(
        literal, attention_mask=torch.ones_like(literal), logits_processor=LogitsProcessorList([hidden]), **common
    )
    unpunished = model(family).generate(literal, attention_mask=torch.ones_like(literal), **common)
    with attach(model(family), tokenizer(), worded(family, placement)) as prompted:
        found = prompted.generate(row, attention_mask=torch.ones_like(row), repetition_penalty=5.0, **common)
    assert found[0, 5:].tolist() == plain[0, 9:].tolist() != unpunished[0, 9:].tolist()


@every_generative
@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "p_tuning_v2", "deep_prompt"])
@pytest.mark.parametrize(
    "options",
    [
        {"repetition_penalty": 1.5},
        {"no_repeat_ngram_size": 2},
        {"encoder_repetition_penalty": 1.4},
        {"bad_words_ids": [[7], [8, 9]]},
        {"num_beams": 2, "no_repeat_ngram_size": 1, "early_stopping": True},
        {"forced_eos_token_id": EOS},
        {"exponential_decay_length_penalty": (2, 1.5)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_read_ids(family: str, method: str, options: dict[str, Any]) -> None:
    options = {
        **options,
        "suppress_tokens": [PAD],
        "max_new_tokens": 6,
        "do_sample": False,
    }  # padded rows hold it already
    with tiny(family, method) as prompted:
        batch, mask = padded(ROWS, "left")
        made = prompted.generate(batch, attention_mask=mask, **options)
        assert int(made.max()) < 100
        for row, alone in zip(made, ROWS, strict=True):
            if options.get("repetition_penalty") or options.get("encoder_repetition_penalty"):
                continue  # transformers punishes the pad token of padded rows, with or without a prompt
            one = prompted.generate(alone, attention_mask=torch.ones_like(alone), **options)
            new = row[batch.shape[1] :] if prompted.anatomy.kind == "causal" else row
            single = one[0, alone.shape[1] :] if prompted.anatomy.kind == "causal" else one[0]
            assert new[: len(single)].tolist() == single.tolist()
            assert set(new[len(single) :].tolist()) <= {PAD, EOS}  # a row that ended is filled up


@every_decoder
def test_rows_in_which_a_template_placed_different_prompts(family: str) -> None:
    """Rows lose different numbers of virtual ids, and no n-gram is made up for the shorter ones."""
    backbone = model(family)
    made = {"long": producer(backbone, "prompt_tuning"), "short": producer(backbone, "capt")}
    with attach(backbone, tokenizer(), made) as prompted:
        rows = []
        for slots, text in zip(prompted.slots, (ids(4, 1), ids(6, 2)), strict=True):
            virtual = torch.arange(slots.base, slots.base + slots.count)[None]
            rows.append(torch.cat([text[:, :2], virtual, text[:, 2:]], dim=1))
        batch, mask = padded(rows, "left")
        options = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False, "no_repeat_ngram_size": 1}
        together = prompted.generate(batch, attention_mask=mask, prompts=["long", "short"], **options)
        for name, row, found in zip(made, rows, together, strict=True):
            alone = prompted.generate(row, attention_mask=torch.ones_like(row), prompts=name, **options)
            assert found[-8:].tolist() == alone[0, -8:].tolist()


@every_generative
@every_method
def test_sampling_repeats_with_its_seed(family: str, method: str) -> None:
    with tiny(family, method) as prompted:
        batch, mask = padded(ROWS, "left")
        runs = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            runs.append(prompted.generate(batch, attention_mask=mask, do_sample=True, max_new_tokens=8).tolist())
        assert runs[0] == runs[1] != runs[2]


@every_decoder
@every_method
@pytest.mark.filterwarnings("ignore:Using the model-agnostic default:UserWarning")
def test_lengths_count_the_users_tokens(family: str, method: str) -> None:
    with tiny(family, method) as prompted:
        row = ids(5)
        never = {"do_sample": False, "eos_token_id": None, "attention_mask": torch.ones_like(row)}
        assert prompted.generate(row, max_length=9, **never).shape == (1, 9)
        config = GenerationConfig(max_length=11, do_sample=False)
        assert prompted.generate(row, generation_config=config, attention_mask=torch.ones_like(row)).shape[1] <= 11
        assert config.max_length == 11
        assert prompted.generate(row, **never).shape == (1, 25)  # twenty new ones, by default
        own = prompted.backbone.generation_config
        own.max_length = 8
        try:  # a checkpoint's own length is one of the user's tokens, too, and new ones come before it
            assert prompted.generate(row, **never).shape == (1, 8)
            config = GenerationConfig(do_sample=False, max_new_tokens=9, min_new_tokens=9)
            found = prompted.generate(row, generation_config=config, attention_mask=never["attention_mask"])
            assert found.shape == prompted.generate(row, max_new_tokens=9, **never).shape == (1, 14)
        finally:
            own.max_length = None


def _first_token(prompted: PromptedModel, row: Tensor) -> int:
    """The first greedy token: taken as an end token, it would end the text at once."""
    return int(prompted.generate(row, max_new_tokens=1, do_sample=False)[0, -1])


@every_decoder
@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "p_tuning_v2"])
def test_minimal_lengths_count_the_users_tokens(family: str, method: str) -> None:
    with tiny(family, method) as prompted:
        row = ids(5)
        end = _first_token(prompted, row)
        common = {"do_sample": False, "eos_token_id": end, "pad_token_id": 0, "attention_mask": torch.ones_like(row)}

        def first_end(made: Tensor) -> int:
            tokens = made[0].tolist()
            return tokens.index(end, 5) if end in tokens[5:] else len(tokens)

        assert first_end(prompted.generate(row, max_new_tokens=6, **common)) == 5
        plain = [prompted.generate(row, max_new_tokens=9, min_new_tokens=n, **common) for n in (3, 3)]
        expected = first_end(plain[0])
        assert expected >= 8
        assert first_end(prompted.generate(row, max_length=14, min_length=8, **common)) == expected
        custom = LogitsProcessorList([MinLengthLogitsProcessor(8, end)])
        assert first_end(prompted.generate(row, max_length=14, logits_processor=custom, **common)) == expected
        prompted.generation_config.min_length = 8
        try:
            assert first_end(prompted.generate(row, max_length=14, **common)) == expected
        finally:
            prompted.generation_config.min_length = None


class LongEnough(StoppingCriteria):
    def __init__(self, length: int) -> None:
        self.length, self.seen = length, []

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        self.seen.append(input_ids)
        return torch.full((len(input_ids),), input_ids.shape[1] >= self.length)


@every_decoder
@every_method
def test_a_criterion_and_a_streamer_of_the_users_own(family: str, method: str) -> None:
    class Collect(BaseStreamer):
        def __init__(self) -> None:
            self.values: list[list[int]] = []
            self.ended = False

        def put(self, value: Tensor) -> None:
            self.values.append(value.flatten().tolist())

        def end(self) -> None:
            self.ended = True

    with tiny(family, method) as prompted:
        row, criterion, streamer = ids(5), LongEnough(9), Collect()
        made = prompted.generate(
            row,
            max_new_tokens=20,
            min_new_tokens=20,
            stopping_criteria=StoppingCriteriaList([criterion]),
            streamer=streamer,
        )
        assert made.shape == (1, 9)
        assert criterion.seen[-1].tolist() == made.tolist()
        assert sum(streamer.values, []) == made[0].tolist()
        assert streamer.ended


@every_generative
@every_method
def test_a_dictionary(family: str, method: str) -> None:
    with tiny(family, method) as prompted:
        batch, mask = padded(ROWS, "left")
        out = prompted.generate(
            batch,
            attention_mask=mask,
            max_new_tokens=4,
            min_new_tokens=4,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            output_hidden_states=True,
        )
        assert len(out.scores) == 4
        causal = prompted.anatomy.kind == "causal"
        assert out.sequences.shape == ((3, 11) if causal else (3, 5))
        first = out.hidden_states[0] if causal else out.encoder_hidden_states
        assert {states.shape[1] for states in first} == {7}
        tokens = prompted.generate(batch, attention_mask=mask, max_new_tokens=4, min_new_tokens=4, do_sample=False)
        assert tokens.tolist() == out.sequences.tolist()


@every_generative
def test_scores_of_beams(family: str) -> None:
    with tiny(family, "prompt_tuning") as prompted:
        batch, mask = padded(ROWS, "left")
        options = {"max_new_tokens": 5, "min_new_tokens": 5, "num_beams": 3, "do_sample": False}
        out = prompted.generate(batch, attention_mask=mask, return_dict_in_generate=True, output_scores=True, **options)
        for index, row in enumerate(ROWS):
            alone = prompted.generate(
                row, attention_mask=torch.ones_like(row), return_dict_in_generate=True, output_scores=True, **options
            )
            assert out.sequences[index, -5:].tolist() == alone.sequences[0, -5:].tolist()
            close(out.sequences_scores[index], alone.sequences_scores[0])


@pytest.mark.parametrize(
    "options",
    [{"assistant_model": 1}, {"prompt_lookup_num_tokens": 2}, {"guidance_scale": 1.5}, {"prefill_chunk_size": 2}],
)
def test_what_cannot_work_is_refused(options: dict[str, Any]) -> None:
    if "assistant_model" in options:
        options = {"assistant_model": model("llama", seed=3)}
    with tiny("llama", "prompt_tuning") as prompted, pytest.raises(SoftPromptError, match=next(iter(options))):
        prompted.generate(ids(4), **options)


def test_a_prompt_at_the_end_has_no_second_turn() -> None:
    with tiny("llama", PromptTuning(num_virtual_tokens=2, placement="end", init="random_uniform")) as prompted:
        turn = prompted.generate(ids(4), max_new_tokens=2, return_dict_in_generate=True)
        with pytest.raises(SoftPromptError, match="placed at the end"):
            prompted.generate(turn.sequences, past_key_values=turn.past_key_values)
        with pytest.raises(SoftPromptError, match="placed at the end"):
            prompted(input_ids=ids(2)[:, 1:], past_key_values=turn.past_key_values)


def test_padding_is_found_without_a_mask() -> None:
    with attached(model("llama"), "prompt_tuning") as prompted:
        batch, mask = padded(ROWS, "left")
        with_mask = prompted.generate(batch, attention_mask=mask, max_new_tokens=4, do_sample=False)
        assert prompted.generate(input_ids=batch, max_new_tokens=4, do_sample=False).tolist() == with_mask.tolist()


def test_the_mask_token_is_a_word_like_any() -> None:
    with tiny("llama", "prompt_tuning") as prompted:
        row = torch.tensor([[1, MASK, 9]])
        assert prompted.generate(row, max_new_tokens=2, do_sample=False).shape == (1, 5)


@pytest.mark.parametrize("method", ["p_tuning_v2", "ia3", "prompt_tuning"])
def test_embeddings_in_the_place_of_ids(method: str) -> None:
    with tiny("llama", method) as prompted:
        row = ids(4, 1)
        given = {"inputs_embeds": prompted.backbone.get_input_embeddings()(row)}
        if method == "prompt_tuning":
            with pytest.raises(SoftPromptError, match="pass input_ids, not inputs_embeds"):
                prompted.generate(**given, max_new_tokens=3)
            return
        whole = prompted.generate(row, max_new_tokens=3, do_sample=False)
        assert torch.equal(prompted.generate(**given, max_new_tokens=3, do_sample=False), whole[:, 4:])
