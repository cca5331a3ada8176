"""Which tokens are structural: each part of the rule by a text whose tokens are known."""

from __future__ import annotations

from typing import Any

import pytest

import softprompt as sp
from softprompt.explain.anchors.columns import Structural, structural_tokens
from softprompt.methods import method
from softprompt.tasks import Task

from ...shared.anchored import prompt, rows
from ...shared.models import model, tokenizer
from ...shared.prompts import fails


def marks(own: sp.Prompt, text: str, *rules: str) -> str:
    """A mark for each token of a text: x where it is structural."""
    readout: Any = own.readout
    assert own.task is not None
    row = own.task.rows_of([text])[0]
    (encoded,) = readout.encode(row).texts
    found = structural_tokens(Structural.of(rules), readout.row_encoder, encoded, row.fields)
    return "".join("x" if one else "." for one in found)


def test_the_words_of_the_template_where_they_stand() -> None:
    """w90 w93 TEXT w91 w92 [MASK]: w91 in the text is a word like any other, and a causal model has no mask."""
    assert marks(prompt("bert"), "w20 w91 w30", "template") == ".x...xx."
    assert marks(prompt("llama"), "w20 w91 w30", "template") == ".x...xx"
    assert marks(prompt("bert"), "w20 w91 w30", "word=W91") == "...x.x.."
    assert marks(prompt("bert"), "w20 w91 w30", "template", "word=w30") == ".x..xxx."


def test_a_separator_is_special_and_the_mask_is_not() -> None:
    parted = Task(template="w90 {text} {sep} w91 {mask}", labels={"0": "w10", "1": "w11"})
    own = sp.untrained(model("bert"), tokenizer(), parted, method("capt"))
    assert marks(own, "w20 w30", "special") == "...x.."
    assert marks(own, "w20 w30", "special", "template") == "...xx."


def test_a_text_that_was_cut_keeps_its_places() -> None:
    short = Task(template="w90 {text} w91 {mask}", labels={"0": "w10", "1": "w11"})
    own = sp.untrained(model("bert"), tokenizer(), short, method("capt"), max_length=10)
    assert marks(own, " ".join(f"w{one}" for one in range(20, 60)), "template") == ".......x."


def test_punctuation_has_neither_letter_nor_digit() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"[UNK]": 0, "a": 1, ".": 2, "7": 3, "?!": 4, "é": 5}
    core = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    from softprompt.tasks.text.encoding import RowEncoder
    from softprompt.tasks.text.template import Template

    encoder = RowEncoder(
        Template.parse("{text}"), PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]"), 20, 0, False, None
    )
    row = Task(template="{text} {mask}", labels={"0": "a", "1": "7"}).rows_of(["a . 7 ?! é unknown"])[0]
    found = structural_tokens(Structural.of(["punctuation"]), encoder, encoder.encode(row), row.fields)
    assert found == (False, True, False, True, False, False)


def test_the_first_token_is_never_structural() -> None:
    for family in ("bert", "llama", "t5"):
        own: Any = prompt(family).readout
        item = own.encode(rows()[0])
        assert not structural_tokens(Structural(), own.row_encoder, item.texts[0], item.row.fields)[0]


@pytest.mark.parametrize("told", [["words"], [], ["word="]])
def test_other_rules_are_refused(told: list[str]) -> None:
    with fails("choose among template, special, punctuation and word=TEXT"):
        Structural.of(told)
    assert str(Structural.of(["special", "word=B", "word=a", "template"])) == "template, special, word=a, word=b"
