"""A training that is being prepared from a table: its first rows, what is guessed of it, and how it is begun."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from softprompt.errors import SoftPromptError, shortened
from softprompt.files import strict_json
from softprompt.files.whole import make_folder, replacing_file
from softprompt.studio.places import DATA, Root, plain_name
from softprompt.tasks import Task
from softprompt.tasks.guess.guess import OTHERWISE
from softprompt.tasks.guess.table import tables
from softprompt.tasks.values import label_text

SEED = 13  # as `softprompt train` has it
ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet", ".xlsx")  # of tables
_FIRST, _WIDE, _LONG = 5, 12, 160  # rows, columns and characters that are shown


@dataclass(frozen=True)
class Draft:
    """What is to be trained.

    Attributes:
        data: the table.
        out: the folder of the run.
        backbone: its name.
        method: its name; empty for the backbone's default.
        text: the columns of the texts; empty to guess.
        label: that of the labels; empty to guess.
        epochs: passes over the rows; None for the method's own.
    """

    data: Path
    out: Path
    backbone: str
    method: str = ""
    text: tuple[str, ...] = ()
    label: str = ""
    epochs: int | None = None

    @property
    def columns(self) -> str:
        """The columns of the texts and that of the labels, in one text."""
        return "/".join((*self.text, self.label))

    def command(self) -> list[str]:
        """The words of the command line that trains it."""
        words = ["softprompt", "train", "--backbone", self.backbone, "--data", str(self.data)]
        words += [word for one in self.text for word in ("--text", one)]
        words += ["--label", self.label] if self.label else []
        words += ["--method", self.method] if self.method else []
        words += ["--epochs", str(self.epochs)] if self.epochs is not None else []
        return [*words, "--out", str(self.out)]

    def python(self) -> list[str]:
        """Ten lines of Python that do the same and ask the prompt."""
        columns = f", {_quoted(*self.text)}, {strict_json.dumps(self.label)}" if self.text and self.label else ""
        method = f", {strict_json.dumps(self.method)}" if self.method else ""
        epochs = f", epochs={self.epochs}" if self.epochs is not None else ""
        return [
            "import softprompt as sp",
            "",
            f"model, tokenizer = sp.load_backbone({strict_json.dumps(self.backbone)})",
            f"task = sp.Task.from_file({strict_json.dumps(str(self.data))}{columns})",
            f"run = sp.train(model, tokenizer, task{method}, output={strict_json.dumps(str(self.out))}{epochs})",
            'print(run.metrics["test"])',
            "print(sp.report(run.folder, prompt=run.prompt))",
            "with run.prompt.attach() as prompted:",
            '    print(prompted.answer(["..."]))',
            '    print(prompted.answer(["..."], returns="probabilities"))',
        ]

    def task(self) -> Task:
        """The task, as `softprompt train` guesses it.

        Raises:
            SoftPromptError: the table cannot be read, or its columns cannot be told apart.
        """
        return Task.from_file(self.data, self.text, self.label or None, seed=SEED)


def _quoted(*texts: str) -> str:
    return strict_json.dumps(texts[0] if len(texts) == 1 else list(texts), indent=None)


class FirstRows(NamedTuple):
    """The beginning of a table.

    Attributes:
        columns: their names.
        rows: the cells, as texts.
        more: how many columns are not shown.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int


def first_rows(path: Path) -> FirstRows:
    """The first rows of a table, as the columns that a task may be told.

    Raises:
        SoftPromptError: it cannot be read.
    """
    found = list(islice(tables(path, SEED, None)["train"][0].rows(), _FIRST))
    columns = tuple(dict.fromkeys(name for row in found for name in row))
    rows = tuple(tuple(_cell(row.get(name)) for name in columns[:_WIDE]) for row in found)
    return FirstRows(columns, rows, max(0, len(columns) - _WIDE))


def _cell(value: object) -> str:
    text = strict_json.dumps(value, indent=None) if isinstance(value, list | dict) else label_text(value)
    return shortened(text, _LONG)


class Guessed(NamedTuple):
    """What a table is taken for.

    Attributes:
        told: in a line.
        text: the columns of the texts; empty where nested records are read by their layout.
        label: that of the labels, likewise.
        kind: of task.
        rows: how many train, validate and test.
        labels: how many rows to train on each label has, the most first.
        template: what the model reads.
    """

    told: str
    text: tuple[str, ...]
    label: str
    kind: str
    rows: tuple[int, int, int]
    labels: tuple[tuple[str, int], ...]
    template: str


def guessed(draft: Draft) -> Guessed:
    """What the table of a draft is taken for; all its rows are read.

    Raises:
        SoftPromptError: it cannot be read, or there are too few rows.
    """
    task = draft.task()
    splits = task.splits(SEED)
    names = {name: f"column{place}" for place, name in enumerate(task.headerless, 1)} if task.headerless else {}
    own = {name: task.columns.get(name, (names.get(name, name),))[0] for name in (*task.fields, "label", "answers")}
    nested = task.layout != "table"
    values = Counter(row.label for row in splits.train if isinstance(row.label, int) and task.labels)
    return Guessed(
        "; ".join(note.removesuffix(f"; {OTHERWISE}") for note in task.notes),
        () if nested else tuple(own[field] for field in task.fields),
        "" if nested else own["answers" if task.kind == "generation" else "label"],
        task.kind,
        (len(splits.train), len(splits.validation), len(splits.test)),
        tuple((task.label_values[index], count) for index, count in values.most_common()),
        task.template,
    )


def keep(root: Root, name: str, content: bytes) -> Path:
    """Put a table that was dropped in beside the runs: the same again is the same file, another one gets a number.

    Args:
        root: the folder of the studio.
        name: that the table had.
        content: its bytes.

    Raises:
        SoftPromptError: it is no table of a kind that is read, it is empty, or nothing can be written there.
    """
    bare = Path(name).name  # its ending is looked at before it is shortened
    ending = next((one for one in ENDINGS if bare.lower().endswith(one) and bare.lower() != one), None)
    if ending is None:
        raise SoftPromptError(f"{plain_name(name)}: no table that is read here: give one of {', '.join(ENDINGS)}")
    stem = plain_name(bare[: -len(ending)])
    plain = f"{stem}{ending}"
    if not content:
        raise SoftPromptError(f"{plain}: the file is empty: give one row a line")
    folder = root.folder / DATA
    make_folder(folder)
    for number in range(1, 10_000):
        path = folder / (f"{stem}{ending}" if number == 1 else f"{stem}-{number}{ending}")
        if not path.exists():
            with replacing_file(path) as file:
                file.write(content)
            return path
        if path.read_bytes() == content:
            return path
    raise SoftPromptError(f"{plain}: too many tables of this name in {folder}: rename it")


def kept(root: Root) -> list[str]:
    """The tables that were dropped in, by name."""
    folder = root.folder / DATA
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in there if path.is_file() and path.name.lower().endswith(ENDINGS))


def table_of(root: Root, name: str) -> Path:
    """A table that was dropped in.

    Raises:
        SoftPromptError: there is none of that name.
    """
    if name not in kept(root):
        raise SoftPromptError(f"{name}: no such table in {root.folder / DATA}: drop it in again")
    return root.folder / DATA / name
