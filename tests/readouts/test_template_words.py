"""A template's own words as virtual tokens: found where they stand, and as the plain template tokenises them."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from softprompt.methods import HardPrompt, SoftWords
from softprompt.readouts.base import completed
from softprompt.readouts.template_words import TemplateWordsEncoder, word_ids
from softprompt.tasks import Row, Task
from softprompt.tasks.text.encoding import Encoded
from softprompt.tasks.text.template import Template

from ..shared.models import MASK, tokenizer
from ..shared.readouts import made


def test_words_between_two_fields_are_found() -> None:
    """Where a field shows the same words, those of the template are the ones that move."""
    task = Task(template="{one} {mask}", fields=("one", "two"), labels={"0": "w10", "1": "w11"})
    method = SoftWords(prompts=("w60 {one} w61 {two} {mask}",))
    prompted, readout = made(task, "bert", method)
    with prompted:
        (row,) = task.rows_of([{"one": "w61 w60 w61", "two": "w61"}])
        (text,) = readout.encode(row).texts
    assert text.ids == (-1, 61, 60, 61, -2, 61, MASK)


def test_a_cut_row_keeps_its_words() -> None:
    task = Task(template="w60 {text} w61 {mask}", labels={"0": "w10", "1": "w11"})
    texts = {"text": " ".join(f"w{20 + index}" for index in range(40))}
    prompted, readout = made(task, "bert", SoftWords(prompts=("w60 {text} w61 {mask}",)), max_length=12)
    hard, plain = made(task, "llama", HardPrompt(), max_length=12)
    with prompted, hard:
        (text,) = readout.encode(task.rows_of([texts])[0]).texts
        (full,) = plain.encode(task.rows_of([texts])[0]).texts
    assert text.truncated
    assert len(text.ids) == 12
    assert [token for token in text.ids if token < 0] == [-1, -2]
    assert full.ids[1:10] == text.ids[1:10]


def test_a_word_that_melts_into_its_neighbour_stays_text() -> None:
    """The row is tokenised as the plain template is; the word's virtual token stands masked behind its end."""
    inner = Tokenizer(models.BPE({"a": 5, ".": 6, "\n": 7, ".\n": 8, "b": 9, "[M]": 3}, [(".", "\n")]))
    inner.add_special_tokens(["[M]"])
    words = PreTrainedTokenizerFast(tokenizer_object=inner, mask_token="[M]")
    assert word_ids("{text}\nb{mask}", words) == (7, 9)
    template = Template.parse("{text}\nb{mask}")
    row_encoder = TemplateWordsEncoder(template, words, 20, 0, False, 3, (7, 9), 4)
    assert [row_encoder.encode(Row({"text": text}, None, None, None, 0)).ids for text in ("a", "a.")] == [
        (5, -5, -6, 3),
        (5, 8, -6, 3),
    ]
    ids, mask = completed(torch.tensor([[5, 8, -2, 3], [5, -1, -2, 3]]), None, torch.tensor([2, 2]))
    assert ids.tolist() == [[5, 8, -2, 3, -1], [5, -1, -2, 3, 0]]
    assert mask is not None
    assert mask.tolist() == [[1, 1, 1, 1, 0]] * 2


def test_a_row_is_encoded_alike_while_another_is() -> None:
    """As by two threads of a server, of which one comes between the other's text and its places."""

    class Between(TemplateWordsEncoder):
        def _place(self, *given: Any) -> Encoded:
            plain.encode(Row({"text": "w30 w31 w32 w33"}))
            return super()._place(*given)

    words = (Template.parse("w60 {text} w61 {mask}"), tokenizer(), 20, 0, False, MASK, (60, 61), 0)
    plain = TemplateWordsEncoder(*words)
    row = Row({"text": "w20"})
    assert Between(*words).encode(row).ids == plain.encode(row).ids == (-1, 20, -2, MASK)
