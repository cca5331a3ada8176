"""What every readout does: encode a row, batch the encodings, give a loss and an answer.

What a readout asks of the attached model is `sites.attached.Attached`. It knows no method and no family.

Loss and answer go three steps, so that what stands between them (see `Mixture`) is written once for all readouts:
`outputs` runs the model, `scores` makes log-probabilities of what it gave, `loss_of` and `outcomes_of` read these;
`scored` takes the first two at once.
A list in a batch has one entry a row; tensors may have one a sequence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypeAlias, TypedDict

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from softprompt.sites.attached import Attached, Rows
from softprompt.tasks.rows import Label, Row
from softprompt.tasks.seen import SeenRows
from softprompt.tasks.text.encoding import Encoded, with_virtual

Batch: TypeAlias = dict[str, Any]  # tensors, lists a row, and a batch inside it: what each readout's `collate` gives

_LEAST = -1e30  # a log-probability whose exponential is 0 in fp32


@dataclass(frozen=True)
class Item:
    """One encoded row.

    Attributes:
        texts: its sequences: one, or one a candidate.
        targets: the answer's ids of each sequence, where the readout scores answers.
        label: class index, number, or index of the right candidate; None where the row has no label, or one a word.
        row: the row itself.
        answer_cut: whether the answer's end was cut.
        ended: whether an end token stands behind each of the targets, since one of them begins another.
        outside: whether the right answer is none that can be given, so that the row is left out.
    """

    texts: tuple[Encoded, ...]
    targets: tuple[tuple[int, ...], ...]
    label: int | float | None
    row: Row
    answer_cut: bool = field(default=False, kw_only=True)
    ended: bool = field(default=False, kw_only=True)
    outside: bool = field(default=False, kw_only=True)

    @property
    def length(self) -> int:
        """Columns of the longest sequence."""
        return max(len(text.ids) for text in self.texts)

    @property
    def truncated(self) -> bool:
        """Whether a field was cut."""
        return any(text.truncated for text in self.texts)

    @property
    def unread(self) -> int:
        """How many of its words have no column to be read at, where each word has a tag."""
        return sum(column < 0 for text in self.texts for column in text.words)

    @property
    def lost(self) -> dict[str, float]:
        """Of each field that was cut the share of its characters that was left out, where most was."""
        names = dict.fromkeys(name for text in self.texts for name in text.lost)
        return {name: max(text.lost.get(name, 0.0) for text in self.texts) for name in names}


@dataclass(frozen=True)
class Outcome:
    """The answer to one row.

    Attributes:
        prediction: class index, number, candidate index, text, or the tag's index of each word (-1 for none).
        probabilities: of each class or candidate, or of each word's tag, where there are any.
        loss: of the right answer, where the row has a label.
        otherwise: the answer by another scoring than the one that was chosen, behind the name of its metric.
        rank: of a right answer among all that could be given, from 1, 0 where none of them is right; of facts alone.
    """

    prediction: Label
    probabilities: tuple[float, ...] | None
    loss: float | None
    otherwise: tuple[str, int] | None = field(default=None, kw_only=True)
    rank: int | None = field(default=None, kw_only=True)

    @property
    def scored(self) -> Label:
        """What metrics are made of: the rank where there is one, else the prediction."""
        return self.prediction if self.rank is None else self.rank

    @property
    def value(self) -> int | float | str:
        """The prediction where there is one a row, and not one a word."""
        assert not isinstance(self.prediction, tuple)
        return self.prediction


class Readout(nn.Module, ABC):
    """Turns rows into batches and the attached model's outputs into losses and answers.

    Attributes:
        name: `text`, `mask` or `head`.
        found: names of what `stored` may give besides, where a course found it.
        calibration: added to the log-probabilities of the classes before an answer is chosen, `(classes,)`, or None;
            the training loss does not see it.
        seen: of a trained prompt's readout the rows that it was trained and chosen on; None while it is trained.
        z_loss: the weight of log(Z)^2 in a training loss over the vocabulary (T5X); see `candidates`.
        generates: whether its loss teaches the model to go on with the answer; where it weighs labels alone, nothing
            says what is generated.
    """

    name: str
    found: tuple[str, ...] = ("head.calibration",)
    calibration: Tensor | None = None
    seen: SeenRows | None = None
    z_loss: float = 0.0
    generates: bool = True

    @abstractmethod
    def encode(self, row: Row) -> Item:
        """Encode one row."""

    @abstractmethod
    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """Batch encoded rows; with `train` only what the loss needs."""

    def outputs(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """What the model gives that scores are made of, fp32, the rows (or their sequences) first."""
        raise TypeError(f"readout {self.name!r} has no scores")

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Log-probabilities `(rows, classes)` as the loss normalises them; of a regression a number `(rows, 1)`."""
        raise TypeError(f"readout {self.name!r} has no scores")

    def loss_of(self, scores: Tensor, batch: Batch) -> Tensor:
        """Mean negative log-probability of the labels, a scalar in fp32."""
        labels = torch.tensor(batch["labels"], device=scores.device)
        return torch.nn.functional.nll_loss(scores, labels)

    def terms(self, item: Item) -> int:
        """How many terms of the mean that the loss is are a row's."""
        return 1

    def outcomes_of(self, scores: Tensor, batch: Batch) -> list[Outcome]:
        """The class with the largest score, row by row."""
        if self.calibration is not None:
            scores = scores + self.calibration.to(scores.device)
        return outcomes(scores, batch["labels"])

    def mix(self, scores: Tensor, log_weights: Tensor) -> Tensor:
        """Scores of a mixture `(rows, classes)`: log sum_t w_t p_t, of its members' `(rows, members, classes)`."""
        # Candidates that a row lacks score minus infinity, whose gradient would be NaN.
        return torch.logsumexp(scores.clamp(min=_LEAST) + log_weights[:, None], dim=1)

    def scored(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """The scores of a batch; what of the model's outputs they are not made of need not be computed."""
        return self.scores(self.outputs(prompted, batch, prompts), batch)

    def loss(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """Mean loss of a batch, a scalar in fp32."""
        return self.loss_of(self.scored(prompted, batch, prompts), batch)

    def answer(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> list[Outcome]:
        """The answers to a batch."""
        return self.outcomes_of(self.scored(prompted, batch, prompts).detach(), batch)

    @property
    def answer_ids(self) -> tuple[tuple[int, ...], ...] | None:
        """The ids of each label's word, where a label word is what the model goes on with; else None."""
        return None

    def report(self) -> dict[str, JsonValue]:
        """What a run's metrics tell of the readout itself: nothing but for a mixture."""
        return {}

    def stored(self) -> dict[str, Tensor]:
        """The tensors that inference needs, each named `head.*`: none where nothing of the readout is trained."""
        return {} if self.calibration is None else {"head.calibration": self.calibration}

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take what `stored` gave."""
        self.calibration = tensors.get("head.calibration")


class Inputs(TypedDict):
    """Keywords of the attached model's forward.

    Attributes:
        prompts: the index of each row's prompt.
        input_ids: shape `(B, T)`.
        attention_mask: shape `(B, T)`, or None where every column is seen.
        conditioning_mask: columns that may condition a prompt, bool, shape `(B, T)`; all where it is left out.
        decoder_input_ids: what an encoder-decoder's decoder reads.
    """

    prompts: list[int]
    input_ids: Tensor
    attention_mask: Tensor | None
    conditioning_mask: NotRequired[Tensor]
    decoder_input_ids: NotRequired[Tensor]


def inputs(prompted: Attached, batch: Batch, prompts: Rows) -> Inputs:
    """The keywords of the attached model's forward: ids with their virtual tokens, mask and each row's prompt."""
    ids, mask = batch["input_ids"], batch.get("attention_mask")
    rows = prompted.rows(_repeated(prompts, batch), ids.shape[0])
    conditioning = batch.get("conditioning_mask")
    if bool((ids < 0).any()):
        bases = torch.tensor([prompted.slots[row].base for row in rows], device=ids.device)
        counts = torch.tensor([prompted.slots[row].count for row in rows], device=ids.device)
        width = ids.shape[1]
        ids, mask = completed(ids, mask, counts)
        ids = with_virtual(ids, bases)
        if conditioning is not None:
            conditioning = torch.nn.functional.pad(conditioning, (0, ids.shape[1] - width))
    given: Inputs = {"prompts": list(rows), "input_ids": ids, "attention_mask": mask}
    if conditioning is not None:
        given["conditioning_mask"] = conditioning
    return given


def completed(ids: Tensor, mask: Tensor | None, counts: Tensor) -> tuple[Tensor, Tensor | None]:
    """Ids `(B, T)` in which each row has all its virtual tokens: those it left out stand masked after its end.

    The sites want a prompt whole. A member of a pool places its own words alone, and a word that melts into its
    neighbour (a full stop into the end of a line) has no place in that row; nothing attends to what is masked.

    Args:
        ids: with stand-ins `-1 - rank`.
        mask: attention mask `(B, T)`, or None.
        counts: P of each row's prompt, `(B,)`.
    """
    most = int(counts.max())
    ranks = torch.where(ids < 0, -1 - ids, most)
    placed = torch.zeros(ids.shape[0], most + 1, dtype=torch.bool, device=ids.device).scatter(1, ranks, True)
    absent = ~placed[:, :most] & (torch.arange(most, device=ids.device) < counts[:, None])
    width = int(absent.sum(-1).max())
    if not width:
        return ids, mask
    order = absent.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :width]
    tail = torch.where(absent.gather(1, order), -1 - order, 0)
    seen = torch.ones_like(ids) if mask is None else mask
    return torch.cat([ids, tail], 1), torch.nn.functional.pad(seen, (0, width))


def _repeated(prompts: Rows, batch: Batch) -> Rows:
    """A prompt a row of the user's, given to each of the row's sequences."""
    owners = batch.get("owners")
    if prompts is None or isinstance(prompts, str) or owners is None:
        return prompts
    each = prompts.tolist() if isinstance(prompts, Tensor) else prompts
    return [each[owner] for owner in owners.tolist()]


def outcomes(scores: Tensor, labels: Sequence[int | float | None]) -> list[Outcome]:
    """Answers from log-scores `(rows, classes)`; missing candidates have a score of minus infinity."""
    logs = scores.detach().float().log_softmax(-1)
    best = logs.argmax(-1).tolist()
    chances = logs.exp().tolist()
    losses = [None if label is None else -float(logs[row, int(label)]) for row, label in enumerate(labels)]
    return [Outcome(b, tuple(c), loss) for b, c, loss in zip(best, chances, losses, strict=True)]


def shared_out(scores: Tensor, batch: Batch, bounds: tuple[float, float]) -> list[Outcome]:
    """Numbers between two bounds, from the log-scores `(rows, 2)` of their words (LM-BFF, section 3.2)."""
    low, high = bounds
    chances = scores.softmax(-1)
    values = (low + (high - low) * chances[:, 1]).tolist()
    losses = [
        None if label is None else ((label - value) / (high - low)) ** 2
        for label, value in zip(batch["labels"], values, strict=True)
    ]
    return [Outcome(v, tuple(c), loss) for v, c, loss in zip(values, chances.tolist(), losses, strict=True)]


def squared_error(scores: Tensor, batch: Batch, bounds: tuple[float, float]) -> Tensor:
    """Mean squared error of numbers on the unit interval `(rows, 1)` against labels within bounds."""
    labels = torch.tensor(batch["labels"], device=scores.device).float()
    return torch.nn.functional.mse_loss(scores[:, 0], (labels - bounds[0]) / (bounds[1] - bounds[0]))


def numbers(scores: Tensor, batch: Batch, bounds: tuple[float, float]) -> list[Outcome]:
    """Numbers on the unit interval `(rows, 1)` as answers within bounds."""
    low, span = bounds[0], bounds[1] - bounds[0]
    shares = scores[:, 0].tolist()
    losses = [
        None if label is None else ((label - low) / span - share) ** 2
        for label, share in zip(batch["labels"], shares, strict=True)
    ]
    return [Outcome(low + share * span, None, loss) for share, loss in zip(shares, losses, strict=True)]
