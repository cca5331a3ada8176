r"""Several prompts of one task and backbone, asked in one batch.

Lester, Al-Rfou, Constant, "The Power of Scale for Parameter-Efficient Prompt Tuning", EMNLP 2021, section 6,
<https://arxiv.org/abs/2104.08691>: N prompts, trained from different seeds, share one frozen model. Each row stands in
the batch N times, the j-th time with prompt j, and the members vote:

    vote(x) = argmax_c #{j : argmax_c' p_j(c' | x) = c}

Beside the vote there is the mean probability, p(c | x) = (1 / N) sum_j p_j(c | x). The paper does not say what settles
a tie. Here: the larger sum of log-probabilities over the members, then the lowest class index. Numbers are averaged.
Free texts are counted after the metrics' normalisation; a tie goes to the text that the earliest member gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, pstdev
from types import NoneType
from typing import TypedDict

from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.attached.reuse import LastAttached
from softprompt.backbones.anatomy import read_anatomy
from softprompt.errors import SoftPromptError
from softprompt.evaluation.score import Scores, check_labels, figure, interval_of, score
from softprompt.evaluation.vote import Ballot, ballot
from softprompt.guards.kinds import check_kind, several
from softprompt.guards.summaries import Summarised, Summary
from softprompt.inference.batches import Tick, rows_a_batch
from softprompt.inference.predict import Answer, answered, in_words, predict
from softprompt.readouts import Batch, Item, Outcome, Readout
from softprompt.readouts.head import Head
from softprompt.sites.attached import Attached, Rows
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row, Task
from softprompt.tasks.seen import count_seen, unseen

# What members must agree in; a wish such as the loss may differ.
_TASK = ("kind", "fields", "template", "templates", "labels", "seq2seq_labels", "bounds")
_READOUT = ("name", "pooling", "max_new_tokens", "sentinel_targets", "scoring", "num_beams", "length_penalty")


class EnsembleScores(TypedDict):
    """What the members reach on labelled rows, and what they are worth together.

    Attributes:
        metric: the main one.
        rows: how many.
        seen_rows: on how many of them some member was trained or chosen; None where one does not know all of its rows.
        members: of each its `name`, `seed`, metrics and own `seen_rows`.
        mean: of the main metric, with its `deviation` over the members and the mean of their interval's ends.
        best: the best member, chosen on these very rows.
        vote: metrics of the vote.
        mean_probability: metrics of the answers with the largest mean probability.
    """

    metric: str
    rows: int
    seen_rows: int | None
    members: list[Scores]
    mean: Scores
    best: Scores
    vote: Scores
    mean_probability: Scores


class Ensemble(Summarised):
    """N saved prompts of one task and backbone.

    Args:
        members: loaded prompts; the same one may stand here twice.
        names: of the members, for reports; by default their places, from 0.

    Raises:
        SoftPromptError: no members, or members of different backbones, tasks or readouts.

    Example:
        >>> both = sp.Ensemble([prompt, prompt])
        >>> [answer.label for answer in both.predict(["a moving film"])] == prompt.predict(["a moving film"])
        True
    """

    def __init__(self, members: Sequence[Prompt], names: Sequence[str] | None = None) -> None:
        """See the class."""
        self.members = tuple(several("Ensemble", "prompts", members, Prompt))
        self.names = tuple(names) if names is not None else tuple(str(index) for index in range(len(self.members)))
        if not self.members:
            raise SoftPromptError("an ensemble needs at least one prompt")
        if len(self.names) != len(self.members):
            raise SoftPromptError(
                f"names: there are {len(self.names)} of {len(self.members)} prompts: give one for each, or none"
            )
        for name, member in zip(self.names, self.members, strict=True):
            self._check(name, member)
        task, readouts = self.members[0].task, [member.readout for member in self.members]
        assert task is not None
        self.task: Task = task
        self._last = LastAttached()
        self.readout = Panel([readout for readout in readouts if readout is not None])

    def summary(self) -> Summary:
        """What a notebook shows of it."""
        members = [(name, member.summary().title) for name, member in zip(self.names, self.members, strict=True)]
        return Summary(f"Ensemble of {len(members)} prompts", columns=["name", "member"], rows=members)

    def attach(self) -> PromptedModel:
        """Attach every member to the backbone, under its place's number; answers go through it as long as it stays."""
        return self._last.gave(self._attached_anew())

    def _attached_anew(self) -> PromptedModel:
        return attach(self.members[0].backbone, {str(index): one for index, one in enumerate(self.members)})

    def outcomes(self, rows: Sequence[Row], *, batch_size: int = 32, tick: Tick | None = None) -> list[Ballot]:
        """The ballots on rows.

        Args:
            rows: of the task.
            batch_size: sequences a forward pass: `batch_size // N` rows, but at least one.
            tick: called with the number of rows done.
        """
        rows = several("Ensemble", "rows", rows, Row)
        size = max(1, rows_a_batch(batch_size) // len(self.members))
        model, producers = self.members[0].model, [member.producer for member in self.members]
        with self._last.attached(model, producers, self._attached_anew) as prompted:
            found = answered(predict(prompted, self.readout, rows, batch_size=size, tick=tick))
        return [outcome for outcome in found if isinstance(outcome, Ballot)]

    def predict(self, texts: Sequence[str | Mapping[str, object]], *, batch_size: int = 32) -> list[Answer]:
        """The vote on plain strings, or on mappings from field to text, in the task's own words."""
        rows = self.task.rows_of(texts)
        found = self.outcomes(rows, batch_size=batch_size)
        seq2seq = read_anatomy(self.members[0].model).kind == "encoder-decoder"
        return [in_words(self.task, row, ballot, seq2seq) for row, ballot in zip(rows, found, strict=True)]

    def evaluate(
        self, rows: Sequence[Row], task: Task | None = None, *, batch_size: int = 32, tick: Tick | None = None
    ) -> EnsembleScores:
        """Mean and best of the members, and what they are worth together, on labelled rows.

        Args:
            rows: labelled rows.
            task: whose metrics to take; by default the members' own.
            batch_size: sequences a forward pass.
            tick: called with the number of rows done.

        Raises:
            SoftPromptError: rows or a task that are none, or a task with other labels than the members answer with.
        """
        check_kind("Ensemble.evaluate", "task", task, (Task, NoneType))
        own = task or self.task
        check_labels(own, self.task)
        ballots = self.outcomes(rows, batch_size=batch_size, tick=tick)
        members: list[Scores] = [
            {
                "name": name,
                "seed": member.meta.get("seed"),
                **score(own, rows, [ballot.members[index] for ballot in ballots]),
                "seen_rows": member.seen.count(rows),
            }
            for index, (name, member) in enumerate(zip(self.names, self.members, strict=True))
        ]
        values = [figure(member, own.metric) for member in members]
        ends = [fmean(both) for both in zip(*map(interval_of, members), strict=True)]
        return {
            "metric": own.metric,
            "rows": len(rows),
            "seen_rows": count_seen([member.seen for member in self.members], rows),
            "members": members,
            "mean": {own.metric: fmean(values), "deviation": pstdev(values), "interval": [*ends]},
            "best": max(members, key=lambda member: figure(member, own.metric)),
            "vote": score(own, rows, ballots),
            "mean_probability": score(own, rows, [replace(ballot, prediction=ballot.by_mean) for ballot in ballots]),
        }

    def unseen(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that no member was trained or chosen on, as far as they know theirs; see `Prompt.unseen`."""
        return unseen([member.seen for member in self.members], rows)

    def _check(self, name: str, member: Prompt) -> None:
        first = self.members[0]
        if member.task is None or member.readout is None:
            raise SoftPromptError(f"{name}: this prompt was saved without a task, so it cannot vote")
        if member.task.kind in ("tags", "fact"):
            what = "tags each word" if member.task.kind == "tags" else "ranks a vocabulary"
            raise SoftPromptError(f"{name}: {what}, and an ensemble votes on one answer a row: ask it alone")
        if member.model is not first.model:
            raise SoftPromptError(f"{name}: loaded with another model object; load every member with the same one")
        assert first.task is not None
        if member.task.name != first.task.name:
            raise SoftPromptError(
                f"{name}: trained for task {member.task.name!r}, and {self.names[0]} for {first.task.name!r}: an "
                "ensemble votes on one task"
            )
        for key in _TASK:
            if getattr(member.task, key) != getattr(first.task, key):
                raise SoftPromptError(f"{name}: its task has another {key} than {self.names[0]}: vote with one task")
        if member.task.label_values != first.task.label_values:  # a vote is for a label's number
            raise SoftPromptError(
                f"{name}: its task has its labels in another order than {self.names[0]}: vote with one task"
            )
        for key in _READOUT:
            if getattr(member.readout_spec, key) != getattr(first.readout_spec, key):
                raise SoftPromptError(f"{name}: its readout has another {key} than {self.names[0]}; train it alike")


@dataclass(frozen=True)
class PanelItem(Item):
    """One row, encoded for every member: their templates agree, their numbers of virtual tokens may differ."""

    members: tuple[Item, ...]


class Panel(Readout):
    """The members' readouts as one: row i of prompt j stands at `N i + j`.

    Readouts without weights are all alike, so one reads the whole batch; linear heads share the pass below them;
    readouts of any other kind are asked one after the other.
    """

    name = "panel"

    def __init__(self, readouts: Sequence[Readout]) -> None:
        super().__init__()
        self.readouts = tuple(readouts)
        kinds = {type(readout) for readout in readouts}
        self.heads = kinds == {Head}
        self.together = self.heads or (len(kinds) == 1 and not any(readout.stored() for readout in readouts))

    def encode(self, row: Row) -> Item:
        """Every member's encoding of a row."""
        own = tuple(readout.encode(row) for readout in self.readouts)
        return PanelItem(tuple(text for item in own for text in item.texts), (), own[0].label, row, own)

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """The batch of all members, and each member's own where it has weights to read it with."""
        rows = [item.members for item in items if isinstance(item, PanelItem)]
        batch: Batch = {"rows": len(rows)}
        if self.together:
            batch["whole"] = self.readouts[0].collate([item for members in rows for item in members])
        if self.heads or not self.together:
            batch["apart"] = {
                index: readout.collate([members[index] for members in rows])
                for index, readout in enumerate(self.readouts)
            }
        return batch

    def loss(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """Refused: members are trained one by one.

        Raises:
            SoftPromptError: always.
        """
        raise SoftPromptError("an ensemble is not trained: train its members")

    def answer(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> list[Outcome]:
        """The ballots."""
        count = len(self.readouts)
        if self.together and not self.heads:
            flat = self.readouts[0].answer(prompted, batch["whole"], list(range(count)) * batch["rows"])
            return [ballot(flat[start : start + count]) for start in range(0, len(flat), count)]
        if self.heads:
            self._share(prompted, batch, count)
        found = [
            readout.answer(prompted, batch["apart"][index], str(index)) for index, readout in enumerate(self.readouts)
        ]
        return [ballot(members) for members in zip(*found, strict=True)]

    def _share(self, prompted: Attached, batch: Batch, count: int) -> None:
        """Compute the pooled states of all members at once and hand each head its own."""
        head = self.readouts[0]
        assert isinstance(head, Head)
        whole = batch["whole"]
        features = head.features(prompted, whole, list(range(count)) * batch["rows"])
        for index, own in batch["apart"].items():
            own["features"] = features[whole["owners"] % count == index]
