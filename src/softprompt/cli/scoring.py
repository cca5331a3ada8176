"""What the verbs that score prompts share: labelled rows of a split, and whether a prompt can answer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from softprompt.cli.common import prompt_folder
from softprompt.cli.guessing import Columns, named_task, task_of
from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from softprompt.evaluation.score import Scored, Scores
    from softprompt.methods.base import Method
    from softprompt.progress import Progress
    from softprompt.storage.prompt import Prompt
    from softprompt.tasks import Row, Task
    from softprompt.tasks.seen import SeenRows


class Stored(NamedTuple):
    """What a prompt's folder tells of it before its backbone is loaded.

    Attributes:
        task: that it was trained for.
        seen: the rows that it was trained and chosen on, as far as they are known.
        seed: of its run, or None.
        method: that trained it.
    """

    task: Task
    seen: SeenRows
    seed: int | None
    method: Method

    @classmethod
    def of(cls, run: Path) -> Stored:
        """What there is to know of the prompt of a run or prompt folder that is to be scored.

        Raises:
            SoftPromptError: no prompt there, a damaged one, or one that was saved without a task.
        """
        path = prompt_folder(run)
        from softprompt.storage.record import read_description
        from softprompt.storage.seen import read_seen

        found = read_description(path)
        if found.task is None or found.record.readout is None:
            raise SoftPromptError(f"{run}: this prompt was saved without a task, so nothing can be scored")
        return cls(found.task, read_seen(path, found.record.rows), found.record.seed, found.method)


@dataclass(frozen=True)
class Asked:
    """The rows that a verb scores.

    Attributes:
        task: whose metrics are taken.
        split: test, validation or train; all where one file is scored whole.
        seed: of the division.
        rows: labelled ones.
        left_out: how many more there are, which a prompt was trained or chosen on.
        name: what the rows are called: the split, or the file.
    """

    task: Task
    split: str
    seed: int
    rows: list[Row]
    left_out: int
    name: str

    @property
    def record(self) -> Scores:
        """What JSON tells of them beside the metrics."""
        return {"task": self.task.name, "split": self.split, "seed": self.seed, "left_out_rows": self.left_out}


@dataclass(frozen=True)
class Wanted:
    """Which labelled rows the options of a verb ask for.

    One file is scored whole, unless an option asks for a part of it: it was kept apart for that. What is published
    in parts keeps them.

    Attributes:
        task: a name or a YAML file; None, or the name of the prompt's own task, takes that of the prompt.
        data: a folder or a file.
        split: test, validation or train; None takes the test rows, and all of one file.
        seed: of the division; None takes that of the prompt's own run.
        shots: rows a class; None takes those of the run, where it was trained on this task.
        max_test_rows: at most so many test rows; None as for `shots`, and all of one file.
        skip_bad: leave out rows that cannot be used, and tell how many.
        encoding: of text files; None where their bytes tell it.
        columns: in which the task's texts and label stand, where they are called otherwise in the data.
        guessed: take the task of the data's own columns, where none is named.

    Raises:
        SoftPromptError: there is no such split, or no such encoding.
    """

    task: str | None
    data: Path | None
    split: str | None
    seed: int | None
    shots: int | None
    max_test_rows: int | None
    skip_bad: bool = False
    encoding: str | None = None
    columns: Columns = field(default_factory=Columns)
    guessed: bool = False

    def __post_init__(self) -> None:
        """Check the split and the encoding before a backbone is loaded."""
        if self.split not in (None, "test", "validation", "train"):
            raise SoftPromptError(f"--split {self.split!r}: choose test, validation or train")
        if self.encoding is not None:
            from softprompt.tasks.data.encodings import check_encoding

            check_encoding(self.encoding, "--encoding")

    def rows(self, prompts: Sequence[Stored], show: Progress, *, alike: bool = True) -> Asked:
        """The rows, without those that a prompt was trained or chosen on; no backbone need be there.

        Such rows stay where a published division has them among its test rows, and where another split than the test
        rows was asked for. What was seen and what is scored is told.

        Args:
            prompts: that are asked about the rows; the first one's task and division count.
            show: where it is told.
            alike: whether the labels must be those that the prompts answer with.

        Raises:
            SoftPromptError: other labels, no labelled rows, or none that are left.
        """
        own = prompts[0].task
        named = self._task(own)
        if alike:
            from softprompt.evaluation.score import check_labels

            check_labels(named, own)
        from softprompt.tasks.data.watching import watching

        seed = _seed_of(prompts[0]) if self.seed is None else self.seed
        asked = [self.seed, self.split, self.shots]
        # A prompt that knows none of its rows cannot leave them out: its file is divided as it was in training.
        whole = asked == [None] * 3 and _is_file(self.data) and prompts[0].seen.division is not None
        with watching(show.work):
            if whole:
                return self._whole(prompts, named, seed, show)
            return self._part(prompts, named, seed, show, as_trained=named.name == own.name)

    def _task(self, own: Task) -> Task:
        """The task that is meant, with the data's names of columns."""
        if not self.guessed or self.task is not None:
            named = named_task(self.task, own)
            return self.columns.renamed(named, self.data, self.encoding) if self.columns.given else named
        return task_of(None, self.columns, self.data, encoding=self.encoding)

    def _whole(self, prompts: Sequence[Stored], named: Task, seed: int, show: Progress) -> Asked:
        """All rows of one file."""
        from softprompt.tasks.data.sampling import at_most

        assert self.data is not None
        name, notes = self.data.name, [*named.notes]  # which splits tell with their own
        rows = named.labelled_rows(self.data, self.encoding, skip_bad=self.skip_bad, notes=notes)
        for note in notes:
            show.say(note)
        kept = _unseen(prompts, rows, show)
        if not kept:
            raise SoftPromptError(
                f"{self.data}: each of its {len(rows)} rows is one to train or to choose on for a prompt here: give "
                "other --data, or ask for them with --split train"
            )
        left_out = len(rows) - len(kept)
        if left_out:
            show.say(f"{left_out} of {len(rows)} rows of {name} were to train or to choose on, and are left out")
        scored = at_most(named, kept, self.max_test_rows)
        show.say(f"scored: {_so_many(len(scored), len(rows))} rows of {name}")
        return Asked(named, "all", seed, scored, left_out, name)

    def _part(self, prompts: Sequence[Stored], named: Task, seed: int, show: Progress, *, as_trained: bool) -> Asked:
        """One part of rows that are divided."""
        division = prompts[0].seen.division
        shots, most, split = self.shots, self.max_test_rows, self.split or "test"
        if division is not None and as_trained:
            shots, most = shots or division.shots, most or division.max_test_rows
        whole = division is not None and as_trained and _is_file(self.data)
        size = _test_size(division.test_size, shots) if division is not None and whole else None
        told, skip = self.encoding, self.skip_bad
        loaded = named.with_data(self.data, shots, seed, most, test_size=size, skip_bad=skip, encoding=told)
        splits = loaded.splits(few_shot=split != "test")
        for note in splits.notes:
            show.say(note)
        rows: list[Row] = getattr(splits, split)
        if self.max_test_rows is None and split == "test" and len(rows) == most:
            show.say(f"{most} test rows at most, as in training: --max-test-rows takes more")
        if not rows:
            raise SoftPromptError(f"task {loaded.name!r} has no labelled {split} rows: choose another --split")
        kept = _kept(_unseen(prompts, rows, show), rows, split, splits.published, show)
        if not kept:
            raise SoftPromptError(
                f"task {loaded.name!r}: each of its {len(rows)} test rows of seed {seed} is one to train or to choose "
                "on for a prompt here: leave --seed out for the first one's own division, or give other --data"
            )
        where = loaded.name if self.data is None else self.data.name
        divided = splits.protocol if splits.published else f"one file, divided by seed {seed}"
        show.say(f"scored: {_so_many(len(kept), len(rows))} {split} rows of {where} ({divided})")
        return Asked(loaded, split, seed, kept, len(rows) - len(kept), split)


def _test_size(own: float | str | None, shots: int | None) -> float | None:
    """What divides one file as a run did; few-shot runs of earlier versions were tested on a tenth, too."""
    if isinstance(own, str):
        return None
    return 0.1 if own is None and shots is not None else own


def _is_file(data: Path | None) -> bool:
    """Whether rows are one file's, or those of a data set's folder without splits."""
    from softprompt.guards.paths import path_of
    from softprompt.tasks.data.held import is_saved_table

    return data is not None and (path_of(data, "--data").is_file() or is_saved_table(data))


def _so_many(part: int, whole: int) -> str:
    return f"all {whole}" if part == whole else f"{part} of {whole}"


def _seed_of(prompt: Stored) -> int:
    """The seed of the prompt's own division, or of a run of an earlier version."""
    if prompt.seen.division is not None:
        return prompt.seen.division.seed
    return 13 if prompt.seed is None else prompt.seed


def _unseen(prompts: Sequence[Stored], rows: list[Row], show: Progress) -> list[Row]:
    """The rows that no prompt was trained or chosen on, as far as they know; that they do not is told."""
    from softprompt.tasks.seen import unseen

    seen = [prompt.seen for prompt in prompts]
    if not all(one.complete for one in seen):
        show.say(
            "no record of all rows that were trained on (a prompt here, or one that it started from, is of an earlier "
            "version): rows scored here may be among them"
        )
    return unseen(seen, rows)


def _kept(kept: list[Row], rows: list[Row], split: str, published: bool, show: Progress) -> list[Row]:
    """The rows of a part to score, of all and those that were not seen; what was seen of them is told."""
    count = f"{len(rows) - len(kept)} of {len(rows)} {split} rows"
    if len(kept) == len(rows):
        return rows
    if split != "test":
        show.say(f"{count} were to train or to choose on, and are scored: --split test has held-out rows")
        return rows
    if published:
        show.say(f"{count} read like rows to train or to choose on, and are scored: they are published so")
        return rows
    show.say(f"{count} were to train or to choose on, and are left out")
    return kept


def scored(prompt: Prompt, asked: Asked, show: Progress, shown_as: str, batch_size: int) -> Scored:
    """The metrics of a prompt on the rows, and its answers.

    Args:
        prompt: with a task.
        asked: the rows.
        show: where the work is shown.
        shown_as: what it is called there.
        batch_size: rows a forward pass.
    """
    from softprompt.evaluation import score
    from softprompt.readouts.cut import told_cuts

    readout, rows = prompt.readout, asked.rows
    assert readout is not None
    assert prompt.readout_spec is not None
    items = [readout.encode(row) for row in rows]
    for line in told_cuts(items, prompt.readout_spec, f"{asked.split} rows"):
        show.say(line)
    with prompt.attached() as prompted, show.work(shown_as, len(rows), "rows") as tick:
        return score.scored(prompted, readout, asked.task, rows, batch_size=batch_size, tick=tick, items=items)
