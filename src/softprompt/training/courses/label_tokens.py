"""AutoPrompt's label tokens: which words of the vocabulary say most about each class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softprompt.backbones.heads import lm_head
from softprompt.backbones.packed import is_packed
from softprompt.backbones.resting import own_numbers
from softprompt.backbones.vocabulary import pieces
from softprompt.errors import SoftPromptError
from softprompt.inference.batches import batches
from softprompt.methods.parts.vocabulary import readable, word_of
from softprompt.readouts.label_words import LabelWords
from softprompt.sites.modes import evaluating
from softprompt.tasks.text.encoding import continuation
from softprompt.training.courses.templates import template_of
from softprompt.training.courses.work import Work

STEPS = 500


def label_tokens(work: Work, count: int) -> list[list[int]]:
    """For each class the tokens that a linear probe of the answer's state speaks for, the best first.

    Raises:
        SoftPromptError: the readout does not read one token, or the vocabulary has too few words.
    """
    readout = work.readout
    if not isinstance(readout, LabelWords) or work.task.kind != "classification":
        raise SoftPromptError(
            f"label tokens are read at one column, and readout {readout.name!r} of task {work.task.name!r} has no such "
            "place on this backbone: leave label_tokens out, or use labels of one token each"
        )
    head = lm_head(work.prompted.backbone)
    assert head is not None, "label words are read off a language-model head"
    if is_packed(head):
        raise SoftPromptError("label_tokens: the language-model head is quantised, without rows to rank: leave it out")
    embedding = own_numbers(head, "weight")
    labels = torch.tensor([int(item.row.value or 0) for item in work.items])
    weight = probe(states(work, head), labels, len(work.task.label_values), work.plan.learning_rate)
    return [_words(work, scores, count) for scores in ranking(weight, embedding)]


@torch.no_grad()
def states(work: Work, head: nn.Module) -> Tensor:
    """What the output embedding reads at each training row's answer, fp32, `(rows, H)`."""
    seen: list[Tensor] = []

    def read(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if work.prompted.is_running:  # others may call the backbone meanwhile
            seen.append(given[0].float().cpu())

    handle = head.register_forward_pre_hook(read)
    try:
        with evaluating(work.trained):
            size, collate = work.options.eval_batch_size, work.readout.collate
            for _, batch in batches(work.items, collate, size, work.prompted, in_order=True):
                work.readout.outputs(work.prompted, batch)
    finally:
        handle.remove()
    return torch.cat([one.reshape(-1, one.shape[-1]) for one in seen])


def probe(features: Tensor, labels: Tensor, classes: int, rate: float) -> Tensor:
    """W `(classes, H)` of a linear probe, trained by Adam on all rows at once, from zero.

    Raises:
        SoftPromptError: it diverged.
    """
    linear = nn.Linear(features.shape[1], classes)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    optimizer = torch.optim.Adam(linear.parameters(), lr=rate)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(linear(features), labels).backward()
        optimizer.step()
    if not bool(torch.isfinite(linear.weight).all()):
        raise SoftPromptError(f"label tokens: their probe diverged: try a lower learning_rate (now {rate:g})")
    return linear.weight.detach()


@torch.no_grad()
def ranking(weight: Tensor, embedding: Tensor) -> Tensor:
    """How much each token speaks for each class: softmax over the classes of W E^T, `(classes, V)`."""
    scores = [weight @ embedding[ids.start : ids.stop].float().cpu().T for ids in pieces(len(embedding))]
    return torch.cat(scores, dim=1).softmax(0)


def _words(work: Work, scores: Tensor, count: int) -> list[int]:
    """The first tokens of a ranking that are words as the template's answer would be."""
    tokenizer = work.prompted.tokenizer
    space = template_of(work.readout).space_before_answer
    chosen: list[int] = []
    for token in scores.argsort(descending=True, stable=True).tolist():
        if readable(token, tokenizer) and continuation(tokenizer, word_of(token, tokenizer), space=space) == (token,):
            chosen.append(token)
        if len(chosen) == count:
            return chosen
    raise SoftPromptError(f"the vocabulary has {len(chosen)} words that can answer, and label_tokens asks for {count}")
