"""For which class of transformers a prompt is written: a language model, or a linear head that was trained along.

Our head is linear on a token's state, or on the mean of the text's. That is a token classifier of transformers, whose
logits at this token, or whose mean over the text, are the head's: its sequence classifiers put a layer of their own in
between (BERT's pooler), or have no bias (Llama's). A model that has a head of its own keeps it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from softprompt.readouts.head import Head
from softprompt.readouts.span_head import SpanHead
from softprompt.storage.prompt import Prompt

# PEFT's names of what a model is for, by the end of its class's name, with the modules that are its head.
_OWN = {
    "ForSequenceClassification": ("SEQ_CLS", ("classifier", "score")),
    "ForTokenClassification": ("TOKEN_CLS", ("classifier", "score")),
    "ForQuestionAnswering": ("QUESTION_ANS", ("qa_outputs",)),
}


@dataclass(frozen=True)
class Use:
    """What a prompt is used in.

    Attributes:
        task_type: PEFT's name of it.
        auto: the class of transformers that loads it.
        outputs: of a linear head, else 0.
        head: the tensors of its head by their names in the model.
        read: where a head's logits are read, in words.
    """

    task_type: str
    auto: str
    outputs: int = 0
    head: dict[str, Tensor] = field(default_factory=dict)
    read: str = ""


def head_refusal(prompt: Prompt) -> str | None:
    """Why no class of transformers reads the prompt's answers."""
    if prompt.readout is not None and prompt.readout.name == "rows":
        return "its answers are read by output rows that were trained along"
    if not isinstance(prompt.readout, Head):
        return None
    if prompt.backbone.is_encoder_decoder:
        return "its head reads the states of an encoder-decoder, for which transformers has no such class"
    if _linear(prompt.readout, prompt) is None:
        return f"transformers has no plain linear head for family {prompt.backbone.family!r}"
    return None


def use_of(prompt: Prompt) -> Use:
    """The class that a prompt which `head_refusal` lets pass is written for."""
    readout, name, model = prompt.readout, type(prompt.model).__name__, prompt.model
    if isinstance(readout, Head):
        place = _linear(readout, prompt)
        assert place is not None
        stored = {key.removeprefix("head."): value for key, value in readout.stored().items()}
        head = {f"{place}.{key}": value.float().cpu() for key, value in stored.items()}
        task = "QUESTION_ANS" if isinstance(readout, SpanHead) else "TOKEN_CLS"
        where = {"first": "at the text's first token", "last": "at its last", "mean": "as the mean over the text"}
        return Use(task, _auto(task), readout.linear.out_features, head, where[readout.pooling])
    for end, (task, places) in _OWN.items():
        if name.endswith(end):
            own = [(key, child) for key, child in model.named_children() if any(one in key for one in places)]
            head = {f"{key}.{n}": p.detach().float().cpu() for key, child in own for n, p in child.named_parameters()}
            return Use(task, _auto(task), head=head)
    if prompt.backbone.is_encoder_decoder:
        return Use("SEQ_2_SEQ_LM", "AutoModelForSeq2SeqLM")
    if prompt.backbone.kind == "causal" and prompt.backbone.has_lm_head:
        return Use("CAUSAL_LM", "AutoModelForCausalLM")
    return Use("FEATURE_EXTRACTION", "AutoModelForMaskedLM" if prompt.backbone.has_lm_head else "AutoModel")


def _auto(task: str) -> str:
    names = {
        "SEQ_CLS": "SequenceClassification",
        "TOKEN_CLS": "TokenClassification",
        "QUESTION_ANS": "QuestionAnswering",
    }
    return f"AutoModelFor{names[task]}"


def _linear(readout: Head, prompt: Prompt) -> str | None:
    """The name of the linear layer that is all that a class of transformers has beside the body; None for none."""
    auto = AutoModelForQuestionAnswering if isinstance(readout, SpanHead) else AutoModelForTokenClassification
    config = copy.deepcopy(prompt.backbone.anatomy.config)
    config.num_labels = readout.linear.out_features
    make: Callable[[PreTrainedConfig], PreTrainedModel] = auto.from_config
    try:
        with torch.device("meta"):
            made = make(config)
    except ValueError:  # transformers has no such class for this configuration
        return None
    others = [(name, one) for name, one in made.named_children() if name != made.base_model_prefix]
    heads = [(name, one) for name, one in others if not isinstance(one, nn.Dropout)]
    if len(heads) != 1 or not isinstance(heads[0][1], nn.Linear) or heads[0][1].bias is None:
        return None
    return heads[0][0]
