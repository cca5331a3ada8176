"""A task's definition from its table: columns, answers, template and words, and what is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from softprompt.errors import SoftPromptError, shown
from softprompt.guards import limits
from softprompt.tasks.data.files import stem_of
from softprompt.tasks.data.held import Held
from softprompt.tasks.guess.answers import Keys, answer_keys
from softprompt.tasks.guess.choices import choice_keys, offered
from softprompt.tasks.guess.choose import choose
from softprompt.tasks.guess.layouts import recognised, told
from softprompt.tasks.guess.names import field_names, title_of, words_of
from softprompt.tasks.guess.profile import Profile
from softprompt.tasks.guess.table import Table, tables

OTHERWISE = "--text, --label choose others"  # the mend of a guess
_SHOWN = 8  # classes that are told
_PLAIN = {"label", "labels", "target", "class", "y", "classindex", "labeltext", "labelname", "goldlabel"}


@dataclass(frozen=True)
class Guess:
    """What a table gave.

    Attributes:
        keys: of a task's definition.
        told: which columns were taken, in one line.
    """

    keys: Keys
    told: str


@dataclass(frozen=True)
class Wanted:
    """What a user says of a table whose task is to be guessed.

    Attributes:
        text: names of the columns of texts; empty to guess them.
        label: name of the label's column; None to guess it.
        others: files or tables of validation and test rows, whose labels count as well.
        seed: of the few-shot folder to take.
        shots: likewise.
        encoding: of text files; told by their bytes where it is None.
    """

    text: tuple[str, ...] = ()
    label: str | None = None
    others: tuple[Path | Held, ...] = ()
    seed: int = 13
    shots: int | None = None
    encoding: str | None = None


def guess(place: Path | Held | None, wanted: Wanted) -> Guess:
    """The task that a table is for.

    Args:
        place: a file, a folder of files or what `datasets` saved, or tables in memory.
        wanted: what the user says of it.

    Raises:
        SoftPromptError: it cannot be read, or its columns cannot be told apart; the message lists them.
    """
    if place is None:
        raise SoftPromptError("no data to guess a task from: give a file, a folder or a table")
    parts = tables(place, wanted.seed, wanted.shots, wanted.encoding)
    train, *shards = parts["train"]
    name = _name_of(place)
    others = [*shards, *(one for split, of in parts.items() if split != "train" for one in of)]
    others += [
        one
        for other in wanted.others
        for of in tables(other, wanted.seed, None, wanted.encoding).values()
        for one in of
    ]
    if not wanted.text and wanted.label is None:
        keys = recognised(lambda: chain.from_iterable(one.rows() for one in (train, *others)))
        if keys is not None:
            return Guess({"name": name, **keys}, told(keys))
    columns = train.profiles()
    texts, label = choose(columns, wanted.text, wanted.label, train.origin, named=not train.headerless)
    choices = offered(columns.values())
    answers = None if choices is None else choice_keys(train.rows(), choices.name, label.name)
    if answers is None:
        answers = answer_keys(label, _same(label, others), asked=wanted.label is not None, origin=train.origin)
    return Guess(_definition(name, texts, label, answers, columns, train), _told(texts, label, answers))


def _same(label: Profile, others: Sequence[Table]) -> list[Profile]:
    """The label's column in other tables; -1 is there an answer that is kept secret, as the hub writes it."""
    found = [found for one in others if (found := one.profiles().get(label.name)) is not None]
    for one in found:
        if "-1" not in label.counts:
            one.counts.pop("-1", None)
    return found


def _definition(
    name: str, texts: Sequence[Profile], label: Profile, answers: Keys, columns: Mapping[str, Profile], table: Table
) -> Keys:
    named = not table.headerless
    if not named and "labels" not in answers:
        raise SoftPromptError(f"{table.origin}: no line names its columns, and only classes can be told so: add one")
    numbers = [""] if len(texts) == 1 else [*map(str, range(1, len(texts) + 1))]
    given = [one.name for one in texts] if named else [f"text{number}" for number in numbers]
    fields = dict(zip((one.name for one in texts), field_names(given).values(), strict=True))
    title = "Label" if not named or "".join(words_of(label.name)) in _PLAIN else title_of(label.name)
    shown = [f"{title_of(one.name)}: " if named and len(texts) > 1 else "" for one in texts]
    lines = [f"{head}{{{fields[one.name]}}}" for head, one in zip(shown, texts, strict=True)]
    offers = answers.get("kind") == "choice"
    template = "\n".join([*lines, f"{title}: {{choice}}" if offers else f"{title}: {{mask}}"])
    answer = "answers" if answers.get("kind") == "generation" else "label"
    found: Keys = {"name": name, **answers, "fields": tuple(fields.values()), "template": template}
    if "labels" in answers:
        found["templates"] = {"mask": f"{template}."}
    if named:
        renamed = {field: (column,) for column, field in fields.items() if field != column}
        others = answers.get("columns")
        answering = others if isinstance(others, dict) else {} if label.name == answer else {answer: (label.name,)}
        found["columns"] = renamed | answering
    else:
        own = {**fields, label.name: "label"}
        found["headerless"] = tuple(own.get(column, column) for column in columns)
    return found


def _told(texts: Sequence[Profile], label: Profile, answers: Keys) -> str:
    """What is told of a guess, in one line."""
    labels, bounds = answers.get("labels"), answers.get("bounds")
    if isinstance(labels, Mapping):
        values = [shown(value) for value in [*labels][:_SHOWN]]
        more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
        what = f"{len(labels)} classes: {', '.join(values)}{more}"
    elif isinstance(bounds, tuple):
        what = f"a number from {bounds[0]:g} to {bounds[1]:g}"
    else:
        what = "one of the row's own candidates" if answers.get("kind") == "choice" else "free text"
    return f"text: {', '.join(one.name for one in texts)}; label: {label.name} ({what}); {OTHERWISE}"


def _name_of(place: Path | Held) -> str:
    """What the task is called: as its file or folder."""
    if not isinstance(place, Path):
        return "custom"
    path = place.absolute()
    return shown((stem_of(path) if path.is_file() else path.name)[: limits.NAME]) or "custom"
