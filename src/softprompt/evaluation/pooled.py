r"""Pooled tokens in front of trained deep prompts, at test time: what the instance adds without any training.

Liu et al., "All You Need is One: Capsule Prompt Tuning with a Single Vector", NeurIPS 2025,
<https://arxiv.org/abs/2510.16670>, Finding II: the input is pooled to m tokens, which are prepended before the trained
prompts at each layer. On T5-Base with 10 prompts a layer m = 1 takes RTE from 78.34 to 79.33; m = 2, 3, 4 and 10
decline, in the end below m = 0. Nothing is trained. (CaPT with p = 0 is another thing, the paper's Insta-only-1: there
is no trained prompt there.)

    H^i = L_i([Pool_m(H^{i-1}); P^i; H^{i-1}]),   Pool_m cuts the text into m adaptive bins and takes each one's mean

Open in the paper, and decided here: each layer pools its own states, as CaPT does, and the text's alone, without the
prompts' outputs; padding and answers have no part (so that a decoder-only model sees nothing of its answer); a text of
fewer than m tokens gives some of them twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import NoneType
from typing import NamedTuple

import torch
from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.evaluation.score import Scores, check_labels, given_rows, scored
from softprompt.inference.batches import Tick
from softprompt.methods.deep_prompt import DeepPrompt, LayerTable
from softprompt.methods.parts.generators import adaptive_average
from softprompt.readouts import Readout
from softprompt.readouts.build import rebuilt
from softprompt.sites.footprint import Footprint
from softprompt.sites.producer import Producer, View
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row, Task
from softprompt.tasks.text.template import Part, PromptSlot, Template

COUNTS = (0, 1, 2, 3, 4, 10)  # the paper's


class PooledScores(NamedTuple):
    """What a prompt reaches behind m pooled tokens.

    Attributes:
        pooled: m.
        cut_rows: of how many rows the text was cut to make room.
        scores: the metrics of the task, `rows`, the main metric's `interval` and `loss`; `seen_rows`.
    """

    pooled: int
    cut_rows: int
    scores: Scores


class WithPooled(Producer):
    """m pooled tokens, then the trained ones of a deep prompt, before each of its layers.

    Args:
        own: the deep prompt.
        pooled: m.
    """

    def __init__(self, own: LayerTable, pooled: int) -> None:
        """See the class."""
        super().__init__()
        self.own, self.pooled = own, pooled
        self.part = replace(own.footprint, count=pooled + own.count, static=False)

    @property
    def footprint(self) -> Footprint:
        """The prompt's own with m virtual tokens more, which read the text."""
        return self.part

    def embed(self, view: View) -> Tensor:
        """What the slots hold before any layer has written them, `(m + k, E)`."""
        return self.own.start.expand(self.part.count, -1)

    def rewrite(self, layer: int, view: View) -> Tensor:
        """`[Pool_m(H^{i-1}); P^i]`, fp32, shape `(U, m + k, H)`."""
        means = adaptive_average(view.states.to(torch.float32), view.text, self.pooled)
        trained = self.own.rewrite(layer, replace(view, slots=view.slots[:, self.pooled :]))
        return torch.cat([means, trained.expand(len(means), -1, -1)], dim=1)


def pooled_metrics(
    prompt: Prompt,
    rows: Sequence[Row],
    counts: Sequence[int] = COUNTS,
    *,
    task: Task | None = None,
    batch_size: int = 32,
    tick: Tick | None = None,
) -> list[PooledScores]:
    """Score a deep prompt behind m pooled tokens of the text, for several m.

    Args:
        prompt: a trained one of the method `deep_prompt`, with a task.
        rows: labelled rows.
        counts: m, each once; 0 is the prompt as it is.
        task: whose metrics are taken; by default the prompt's own.
        batch_size: rows a forward pass.
        tick: told how many rows are done, of as many as there are for each m.

    Raises:
        SoftPromptError: a prompt of another method or without a task, no rows, or an m below zero.

    Example:
        >>> run = sp.train(model, tokenizer, task, "deep_prompt", output="runs/deep", max_steps=1, progress=False)
        >>> found = sp.pooled_metrics(run.prompt, task.splits().test, (0, 1))
        >>> [(one.pooled, one.scores["rows"]) for one in found]
        [(0, 4), (1, 4)]
    """
    rows = given_rows("pooled_metrics", prompt, (Task, NoneType), task, rows)
    own = prompt.task if task is None else task
    if own is None or prompt.readout is None or not rows:
        raise SoftPromptError("pooled tokens are measured on labelled rows of the prompt's task: give both")
    if prompt.task is not None:
        check_labels(own, prompt.task)
    check_pooled(prompt.method.name, counts)
    return [_scored(prompt, own, rows, m, batch_size, tick) for m in dict.fromkeys(counts)]


def check_pooled(method: str, counts: Sequence[int]) -> None:
    """Raise `SoftPromptError` for a prompt of another method, or an m below zero."""
    if method != DeepPrompt.name:
        raise SoftPromptError(
            f"pooled tokens stand in front of the trained vectors of {DeepPrompt.name} (CaPT's Finding II), and this "
            f"is a prompt of {method}: train {DeepPrompt.name}"
        )
    if not counts or min(counts) < 0:
        raise SoftPromptError(f"pooled tokens: {min(counts, default='none')}: give whole numbers from 0 on, as 0,1,2")


def _scored(
    prompt: Prompt, task: Task, rows: Sequence[Row], pooled: int, batch_size: int, tick: Tick | None
) -> PooledScores:
    """The scores behind m pooled tokens; with none of them those of the prompt as it is."""
    producer, readout = with_pooled(prompt, pooled)
    items = [readout.encode(row) for row in rows]
    cut = sum(item.truncated for item in items)
    with attach(prompt.backbone, producer) as prompted:
        found = scored(prompted, readout, task, rows, batch_size=batch_size, tick=tick, items=items)
    return PooledScores(pooled, cut, found.scores)


def with_pooled(prompt: Prompt, pooled: int) -> tuple[Producer, Readout]:
    """A deep prompt behind m pooled tokens, and its readout, which makes room for them."""
    own = prompt.producer
    assert isinstance(own, LayerTable)
    assert prompt.readout is not None
    if not pooled:
        return own, prompt.readout
    assert prompt.task is not None
    assert prompt.readout_spec is not None
    made, task = WithPooled(own, pooled), _with_places(prompt.task, pooled)
    return made, rebuilt(prompt.readout, task, prompt.backbone, made, prompt.readout_spec)


def _with_places(task: Task, more: int) -> Task:
    """The task, its templates with m places more at the first one where they count their places."""
    templates = {name: _more(source, more) for name, source in task.templates.items()}
    return task.model_copy(update={"template": _more(task.template, more), "templates": templates})


def _more(source: str, more: int) -> str:
    parts: list[Part] = []
    for part in Template.parse(source).parts:
        if isinstance(part, PromptSlot) and part.count is not None:
            part, more = PromptSlot(part.count + more), 0
        parts.append(part)
    return str(Template(tuple(parts)))
