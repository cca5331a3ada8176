r"""Why this answer: what each token of one row, and each virtual token, adds to the score of the answer, by Captum.

A gate a_j stands at each token: its embedding enters as a_j e_j + (1 - a_j) b, a virtual token at a layer as a search's
gate would have it, a_j M + (1 - a_j) P~ (`methods.parts.gated`). F(a) is the log-probability of the answer that the
prompt gives with all gates open, a = 1 (of a number, the number). Integrated gradients (Sundararajan et al., ICML 2017,
<https://arxiv.org/abs/1703.01365>, equation 1) along the straight line from a = 0 are

    IG_j = \int_0^1 dF(t 1) / da_j dt,     sum_j IG_j = F(1) - F(0)  (completeness)

and at the input, where a_j moves a whole embedding, IG_j is the sum of the paper's over its numbers, from the baseline
b. That is the embedding of the token that pads, or is unknown, the mask, or ends a text, the first that there is: zeros
would not do where norms make a state's length nothing, since all of the change then lies beside a = 0. What a sum over
steps misses of completeness is told. Ablation is F(1) - F(1 without a_j).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.backbones.vocabulary import embed_ids
from softprompt.errors import SoftPromptError
from softprompt.explain.vectors import as_text
from softprompt.inference.batches import to_device
from softprompt.pages.dots import Axis, Dot, dots
from softprompt.pages.parts import Facts, Part, Section
from softprompt.sites.footprint import Footprint
from softprompt.sites.modes import evaluating
from softprompt.sites.producer import Producer, View
from softprompt.sites.wrapped import WrappedProducer
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row

if TYPE_CHECKING:
    from softprompt.attached.model import PromptedModel
    from softprompt.readouts import Item, Readout

STEPS, _AT_ONCE = 64, 16  # of the sum; rows a forward pass


@dataclass(frozen=True)
class Attribution:
    """What tokens add to an answer's score.

    Attributes:
        names: of the virtual tokens, then of the text's.
        virtual: how many of them are virtual.
        gradients: integrated gradients of each.
        ablation: of each.
        whole: F with all tokens.
        none: F without any.
    """

    names: tuple[str, ...]
    virtual: int
    gradients: tuple[float, ...]
    ablation: tuple[float, ...]
    whole: float
    none: float

    @property
    def error(self) -> float:
        """How far the integrated gradients are from completeness."""
        return sum(self.gradients) - (self.whole - self.none)


class Dimmed(WrappedProducer):
    """A prompt with a gate at each of its slots and each token of the text.

    Attributes:
        baseline: b, `(E,)`.
        gates: `(U, P + T)`, the slots' first; None for all open.
        texts: how many tokens of the text a unit had when it was last seen.
    """

    gates: Tensor | None = None
    texts: int = 0

    def __init__(self, own: Producer, baseline: Tensor) -> None:
        """See the class."""
        super().__init__(own)
        self.baseline = baseline

    @property
    def footprint(self) -> Footprint:
        """The prompt's own, but that its vectors differ from row to row."""
        return replace(self.inner.footprint, static=False, first_layer=0)

    def embed(self, view: View) -> Tensor | None:
        """The prompt's own, dimmed, `(U, P, E)`."""
        made = self.inner.embed(view)
        if made is None or self.gates is None:
            return made
        gates = self._slots(made)
        return gates * made + (1 - gates) * self.baseline

    def shift_text(self, view: View) -> Tensor | None:
        """What makes the text's embeddings dimmed, `(U, T, E)`."""
        shift, self.texts = self.inner.shift_text(view), int(view.text[0].sum())
        if self.gates is None:
            return shift
        ranks = (view.text.cumsum(-1) - 1).clamp(min=0)
        gates = self.gates[:, self.inner.footprint.count :].gather(1, ranks)
        own = view.states if shift is None else view.states + shift
        dimmed = ((gates - 1) * view.text)[..., None] * (own - self.baseline)
        return dimmed if shift is None else dimmed + shift

    def rewrite(self, layer: int, view: View) -> Tensor:
        """The prompt's own beside the slots as they come from below, `(U, P, H)`."""
        made = self.inner.rewrite(layer, view)
        if self.gates is None:
            return made
        gates = self._slots(made)
        return gates * made + (1 - gates) * view.at_slots

    def _slots(self, made: Tensor) -> Tensor:
        assert self.gates is not None
        return self.gates[:, : self.inner.footprint.count, None].to(made.dtype)


def attributed(prompt: Prompt, row: Row) -> Attribution:
    """What the tokens of a row, and the virtual ones, add to the answer's score.

    Raises:
        SoftPromptError: Captum is not installed, or the row is read as several texts or has no score.
    """
    if find_spec("captum") is None:
        raise SoftPromptError("why an answer: Captum is not installed: pip install 'softprompt[explain]'")
    if prompt.readout is None:
        raise SoftPromptError("why an answer: this prompt was saved without a task")
    readout, own = prompt.readout, Dimmed(prompt.producer, _baseline(prompt))
    item = readout.encode(row)
    if len(item.texts) != 1 or own.footprint.pool:
        raise SoftPromptError("why an answer: the row is read as several texts, none of which has the answer alone")
    ids = [one for one in item.texts[0].ids if one >= 0]
    with attach(prompt.backbone, own) as prompted, evaluating(prompted, readout):
        chosen = _chosen(prompted, readout, item)
        if own.texts != len(ids):
            raise SoftPromptError("why an answer: the tokens that the prompt sees are not those of the text")
        return _attributed(prompt, own, _Score(prompted, readout, item, own, chosen), ids)


def _baseline(prompt: Prompt) -> Tensor:
    """The embedding of a token that says nothing, `(E,)`."""
    words = prompt.tokenizer
    known = [getattr(words, f"{name}_token_id") for name in ("pad", "unk", "mask", "eos", "bos")]
    token = next((one for one in known if one is not None and one < prompt.backbone.anatomy.vocab_size), 0)
    return embed_ids(prompt.backbone.anatomy.embedding, [token])[0].detach()


@dataclass(frozen=True)
class _Score:
    """F: the answer's score of a row, with gates."""

    prompted: PromptedModel
    readout: Readout
    item: Item
    own: Dimmed
    chosen: int

    def __call__(self, gates: Tensor) -> Tensor:
        """`(n,)` of gates `(n, P + T)`."""
        self.own.gates = gates
        try:
            batch = to_device(self.readout.collate([self.item] * len(gates)), self.prompted)
            scores = self.readout.scores(self.readout.outputs(self.prompted, batch, None), batch)
        finally:
            self.own.gates = None
        return scores[:, self.chosen]


def _chosen(prompted: PromptedModel, readout: Readout, item: Item) -> int:
    """The answer that the prompt gives."""
    with torch.no_grad():
        batch = to_device(readout.collate([item]), prompted)
        try:
            scores = readout.scores(readout.outputs(prompted, batch, None), batch)
        except TypeError:
            raise SoftPromptError("why an answer: answers of this kind have no score") from None
    if readout.calibration is not None:
        scores = scores + readout.calibration.to(scores.device)
    return int(scores[0].argmax())


def _attributed(prompt: Prompt, own: Dimmed, score: _Score, ids: Sequence[int]) -> Attribution:
    from captum.attr import FeatureAblation, IntegratedGradients

    virtual = own.footprint.count
    device = next(iter(prompt.model.parameters())).device
    gates = torch.ones(1, virtual + len(ids), device=device)
    found = IntegratedGradients(score).attribute(
        gates, torch.zeros_like(gates), n_steps=STEPS, internal_batch_size=_AT_ONCE
    )
    with torch.no_grad():
        removed = FeatureAblation(score).attribute(gates, torch.zeros_like(gates), perturbations_per_eval=_AT_ONCE)
        whole, none = float(score(gates)[0]), float(score(torch.zeros_like(gates))[0])
    names = (*(f"virtual {place}" for place in range(virtual)), *(as_text(prompt.tokenizer, one) for one in ids))
    gradients, ablation = (tuple(one[0].detach().float().tolist()) for one in (found, removed))
    return Attribution(names, virtual, gradients, ablation, whole, none)


def why_section(prompt: Prompt, row: Row, place: int, answer: str) -> Section:
    """The section; where it cannot be made, a line that says why.

    Args:
        prompt: loaded, with a task.
        row: that is looked at.
        place: its number.
        answer: what the prompt answers.
    """
    title = f"Why row {place} is answered {answer!r}"
    try:
        found = attributed(prompt, row)
    except SoftPromptError as error:
        return Section(title, (str(error),))
    rows = list(zip(found.names, found.gradients, found.ablation, strict=True))
    items = [Dot(name, gradient, others=(removed,)) for name, gradient, removed in rows]
    caption = (
        f"What each token adds to the log-probability of the answer, {found.whole:.3f} with all tokens and "
        f"{found.none:.3f} with none: integrated gradients over {STEPS} steps, from the token that pads in each "
        f"place, and beside them the fall where that token alone is so. {found.virtual} tokens are virtual. Right of "
        "zero a token speaks for the answer. Both by Captum."
    )
    axis = Axis("adds to the log-probability", None, {"nothing": 0.0})
    figure = dots("Tokens and the answer", caption, items, axis, ("ablation",))
    share = f"{abs(found.error) / max(abs(found.whole - found.none), 1e-9):.1%}"
    facts = (
        ("text", " ".join(row.fields.values())),
        ("completeness", f"the integrated gradients miss {found.error:+.4f} of their sum, {share}"),
    )
    parts: tuple[Part, ...] = (Facts(facts), figure)
    return Section(title, (), parts)
