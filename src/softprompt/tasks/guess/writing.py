"""A task's definition as the YAML file to go on from, each key under a line that says what it is."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from softprompt.errors import shown
from softprompt.tasks.definition import TaskDefinition

_BREAKS = "\n\x85\u2028\u2029"
_ONE_LINE = 1 << 20  # columns: nothing is folded
_MEANT = {
    "name": "what runs and messages call it",
    "kind": "classification (a class), regression (a number), choice, generation (free text), tags or extraction",
    "fields": "the texts of a row",
    "template": "what a language model reads: {field} is that text, {mask} is where the answer is read",
    "templates": "the same for other readers: mask (encoders), head (a linear head), seq2seq",
    "labels": "each label in the rows, and the word that the model answers with: choose words that tell its meaning",
    "bounds": "least and greatest number of the label",
    "metrics": "how answers are scored, the main metric first",
    "columns": "the column of a field or of the label, where it is called otherwise",
    "headerless": "the columns of the file, which has no line of names",
    "layout": "how a nested record becomes rows",
}


def yaml_of(task: TaskDefinition, notes: Sequence[str] = (), *, ascii_only: bool = False) -> str:
    """A definition as YAML, which loads back to an equal task.

    Args:
        task: of which what is as by default is left out.
        notes: to stand above, a line each.
        ascii_only: write other characters as escapes.

    Example:
        >>> from softprompt.tasks.guess.writing import yaml_of
        >>> print(yaml_of(sp.Task(name="polarity", template="{text} It was {mask}", labels=["bad", "good"])))
        # what runs and messages call it
        name: polarity
        # the texts of a row
        fields: [text]
        # what a language model reads: {field} is that text, {mask} is where the answer is read
        template: '{text} It was {mask}'
        # each label in the rows, and the word that the model answers with: choose words that tell its meaning
        labels:
          bad: bad
          good: good
        # how answers are scored, the main metric first
        metrics: [accuracy]
        <BLANKLINE>
    """
    lines = [f"# {shown(note)}" for note in notes]
    keys = {"name": task.name, **task.model_dump(mode="json", exclude_defaults=True)}
    for key, value in keys.items():
        lines += [f"# {_MEANT[key]}"] if key in _MEANT else []
        pair = {key: value}
        written = yaml.dump(pair, Dumper=_Dumper, sort_keys=False, allow_unicode=not ascii_only, width=_ONE_LINE)
        lines.append(written.removesuffix("\n"))
    return "\n".join(lines) + "\n"


class _Dumper(yaml.SafeDumper):
    """Lists in one line, and texts of several lines with escapes, as the catalog has them."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    folded = any(one in value for one in _BREAKS)  # as line breaks are, where they stand without quotes
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if folded else None)


def _list(dumper: _Dumper, value: list[object]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
