"""What the verbs that score prompts share: labelled rows of a split, and whether a prompt can answer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from softprompt.evaluation.score import Scores
    from softprompt.progress import Progress
    from softprompt.storage.prompt import Prompt
    from softprompt.tasks import Row, Task
    from softprompt.tasks.seen import SeenRows


@dataclass(frozen=True)
class Asked:
    """The rows that a verb scores.

    Attributes:
        task: whose metrics are taken.
        split: test, validation or train.
        seed: of the division.
        rows: labelled ones.
        left_out: how many more the split has, which a prompt was trained or chosen on.
    """

    task: Task
    split: str
    seed: int
    rows: list[Row]
    left_out: int

    @property
    def record(self) -> Scores:
        """What JSON tells of them beside the metrics."""
        return {"task": self.task.name, "split": self.split, "seed": self.seed, "left_out_rows": self.left_out}


@dataclass(frozen=True)
class Wanted:
    """Which labelled rows the options of a verb ask for.

    Attributes:
        task: a name or a YAML file; None takes the task of the prompt.
        data: a folder or a file.
        split: test, validation or train.
        seed: of the division; None takes that of the prompt's own run.
        shots: rows a class; None takes those of the run, where it was trained on this task.
        max_test_rows: at most so many test rows; None as for `shots`.

    Raises:
        SoftPromptError: there is no such split.
    """

    task: str | None
    data: Path | None
    split: str
    seed: int | None
    shots: int | None
    max_test_rows: int | None

    def __post_init__(self) -> None:
        """Check the split before a backbone is loaded."""
        if self.split not in ("test", "validation", "train"):
            raise SoftPromptError(f"--split {self.split!r}: choose test, validation or train")

    def rows(self, prompts: Sequence[Prompt], own: Task, show: Progress, *, alike: bool = True) -> Asked:
        """The rows, without those that a prompt was trained or chosen on.

        Such rows stay where a published division has them among its test rows, and where another split than the test
        rows was asked for. What was seen is told either way.

        Args:
            prompts: that are asked about the rows; the first one's division counts.
            own: their task.
            show: where it is told.
            alike: whether the labels must be those that the prompts answer with.

        Raises:
            SoftPromptError: other labels, no labelled rows, or none that are left.
        """
        from softprompt.tasks import Task

        named = own if self.task is None else Task.load(self.task)
        if alike:
            check_labels(named, own)
        division = prompts[0].seen.division
        seed = self.seed
        if seed is None:
            seed = _seed_of(prompts[0]) if division is None else division.seed
        shots, most = self.shots, self.max_test_rows
        if division is not None and named.name == own.name:
            shots, most = shots or division.shots, most or division.max_test_rows
        loaded = named.with_data(self.data, shots=shots, seed=seed, max_test_rows=most)
        splits = loaded.splits(few_shot=self.split != "test")
        rows: list[Row] = getattr(splits, self.split)
        if self.max_test_rows is None and self.split == "test" and len(rows) == most:
            show.say(f"{most} test rows at most, as in training: --max-test-rows takes more")
        if not rows:
            raise SoftPromptError(f"task {loaded.name!r} has no labelled {self.split} rows: choose another --split")
        kept = _kept([prompt.seen for prompt in prompts], rows, self.split, splits.protocol, show)
        if not kept:
            raise SoftPromptError(
                f"task {loaded.name!r}: each of its {len(rows)} test rows of seed {seed} is one to train or to choose "
                "on for a prompt here: leave --seed out for the first one's own division, or give other --data"
            )
        return Asked(loaded, self.split, seed, kept, len(rows) - len(kept))


def _seed_of(prompt: Prompt) -> int:
    """The seed of a run of an earlier version."""
    seed = prompt.meta.get("seed")
    return seed if isinstance(seed, int) else 13


def _kept(seen: Sequence[SeenRows], rows: list[Row], split: str, protocol: str, show: Progress) -> list[Row]:
    """The rows to score; what was seen of them is told."""
    from softprompt.tasks.seen import unseen

    if not all(one.complete for one in seen):
        show.say(
            "no record of all rows that were trained on (a prompt here, or one that it started from, is of an earlier "
            "version): rows scored here may be among them"
        )
    kept = unseen(seen, rows)
    count = f"{len(rows) - len(kept)} of {len(rows)} {split} rows"
    if len(kept) == len(rows):
        return rows
    if split != "test":
        show.say(f"{count} were to train or to choose on, and are scored: --split test has held-out rows")
        return rows
    if protocol != "one file":
        show.say(f"{count} read like rows to train or to choose on, and are scored: they are published so")
        return rows
    show.say(f"{count} were to train or to choose on, and are left out")
    return kept


def scored(prompt: Prompt, asked: Asked, show: Progress, shown_as: str, batch_size: int) -> Scores:
    """The metrics of a prompt on the rows.

    Args:
        prompt: with a task.
        asked: the rows.
        show: where the work is shown.
        shown_as: what it is called there.
        batch_size: rows a forward pass.
    """
    from softprompt.evaluation.score import metrics_of
    from softprompt.readouts.cut import told_cuts

    readout, rows = prompt.readout, asked.rows
    assert readout is not None
    assert prompt.readout_spec is not None
    items = [readout.encode(row) for row in rows]
    for line in told_cuts(items, prompt.readout_spec, f"{asked.split} rows"):
        show.say(line)
    with prompt.attached() as prompted, show.work(shown_as, len(rows), "rows") as tick:
        return metrics_of(prompted, readout, asked.task, rows, batch_size=batch_size, tick=tick, items=items)


def own_task(prompt: Prompt, folder: Path) -> Task:
    """The task of a prompt that can be scored.

    Raises:
        SoftPromptError: it was saved without one.
    """
    if prompt.task is None or prompt.readout is None:
        raise SoftPromptError(f"{folder}: this prompt was saved without a task, so nothing can be scored")
    return prompt.task


def check_labels(loaded: Task, own: Task) -> None:
    """Raise `SoftPromptError` where a task's labels are not those that a prompt answers with."""
    if loaded.kind != own.kind or loaded.label_values != own.label_values:
        raise SoftPromptError(
            f"task {loaded.name!r} has labels {', '.join(loaded.label_values) or 'none'}, but the prompt answers with "
            f"{', '.join(own.label_values) or 'none'}: name a task with the same labels"
        )
