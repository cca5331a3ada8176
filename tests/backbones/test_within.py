"""A user's class around a language model is a backbone: what it makes of the states is made of those of the text."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, LlamaModel, LlamaPreTrainedModel

import softprompt as sp
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.fingerprint import fingerprint
from softprompt.backbones.heads import lm_head
from softprompt.backbones.within import language_model
from softprompt.errors import SoftPromptError

from ..shared.classes import Classifier, Elsewhere, Nameless, Passing, Two, Valued, around
from ..shared.models import ids, model, tokenizer
from ..shared.prompts import producer

METHODS = ("prompt_tuning", "capt", "deep_prompt", "p_tuning_v2")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [Passing, Elsewhere, Classifier, Valued])
@torch.no_grad()
def test_what_wraps_a_language_model_sees_the_text_alone(kind: Any, method: str) -> None:
    base, made = around(kind)
    given = {"input_ids": ids(6), "attention_mask": torch.ones(1, 6, dtype=torch.long)}
    bare = made(**given)
    with sp.attach(base, tokenizer(), producer(base, method)) as prompted:
        inner = prompted(**given, output_hidden_states=True)
    with sp.attach(made, tokenizer(), producer(made, method)) as prompted:
        found = prompted(**given)
    states = inner.hidden_states[-1]
    if kind is Valued:
        expected = (inner.logits, made.v_head(states).squeeze(-1))
    else:
        expected, found = (made.score(states) if kind is Classifier else inner.logits,), (found.logits,)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)
    after = made(**given)
    assert torch.equal(after[0], bare[0])


@pytest.mark.parametrize(("kind", "has"), [(Passing, True), (Elsewhere, True), (Classifier, False), (Valued, False)])
def test_the_head_is_found_where_its_logits_come_out(kind: Any, has: bool) -> None:
    base, made = around(kind)
    assert Backbone(made, tokenizer()).has_lm_head is has
    assert lm_head(made) is (base.lm_head if has else None)


@pytest.mark.parametrize("kind", [Passing, Elsewhere, Classifier, Valued])
def test_its_body_is_the_same_backbone_and_its_head_its_own(kind: Any) -> None:
    base, made = around(kind)
    own, alone = fingerprint(made), fingerprint(base)
    assert (own.weights, own.family, own.num_layers) == (alone.weights, alone.family, alone.num_layers)
    assert own.architecture == kind.__name__
    with torch.no_grad():
        list(made.parameters())[-1].add_(1)
    changed = fingerprint(made)
    assert (changed.weights, changed.head != own.head) == (own.weights, True)


@pytest.mark.parametrize("kind", [Passing, Valued])
def test_generate_is_the_language_models_own(kind: Any) -> None:
    _, made = around(kind)
    with (
        sp.attach(made, tokenizer(), producer(made, "prompt_tuning")) as prompted,
        pytest.raises(SoftPromptError, match=f"{kind.__name__} wraps the LlamaForCausalLM that generates"),
    ):
        prompted.generate(ids(5), max_new_tokens=2)


def test_a_model_that_writes_nothing_says_so() -> None:
    encoder = model("bert", "sequence")
    with (
        sp.attach(encoder, tokenizer(), producer(encoder, "prompt_tuning")) as prompted,
        pytest.raises(SoftPromptError, match="BertForSequenceClassification has no `generate`"),
    ):
        prompted.generate(ids(5))


def test_what_cannot_be_told_is_refused_by_name() -> None:
    with pytest.raises(SoftPromptError, match=r"Two holds several language models \(policy, reference\)"):
        sp.attach(around(Two)[1], tokenizer(), sp.PromptTuning())
    with pytest.raises(SoftPromptError, match=r"Nameless has no `config`: attach to the model in it \(`.lm`\)"):
        sp.attach(around(Nameless)[1], tokenizer(), sp.PromptTuning())


def test_classes_of_transformers_and_those_derived_from_them_are_themselves() -> None:
    class Mine(LlamaForCausalLM):
        pass

    class Head(LlamaPreTrainedModel):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.model = LlamaModel(config)

    config = model("llama").config
    assert language_model(model("llama")) is None
    assert language_model(Mine(config)) is None
    own = Head(config)
    assert language_model(own) is own.model
