r"""Zero-shot transfer: a prompt trained on one task, asked about the rows of another.

Lester, Al-Rfou, Constant, "The Power of Scale for Parameter-Efficient Prompt Tuning", EMNLP 2021, section 5,
<https://arxiv.org/abs/2104.08691>: the prompt is trained and chosen on the source task alone and scored on the target
task's rows untouched, with the label words translated (QQP's "duplicate" counts as MRPC's "equivalent").

Here a translation maps every class of the source to one of the target; several source classes may share one
(neutral and contradiction: not_entailment), and their probabilities are summed. The prompt is always read with the
words that it was trained with. The text around a row is the source task's template by default, with the target's
fields in the places of the source's, or the target's own (`template="target"`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from softprompt.errors import SoftPromptError, quoted
from softprompt.evaluation.score import given_rows, score
from softprompt.inference.batches import Tick
from softprompt.inference.predict import answered, predict
from softprompt.readouts import Outcome, Readout, build_readout
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row, Task
from softprompt.tasks.scoring import check_libraries

Whose = Literal["source", "target"]


@dataclass(frozen=True)
class Translation:
    """How the rows and answers of the target task are those of the source.

    Attributes:
        classes: for each class of the source the class of the target; empty where there are no classes.
        fields: for each field of the source the field of the target.
    """

    classes: tuple[int, ...]
    fields: dict[str, str]


def translation(
    source: Task,
    target: Task,
    words: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
) -> Translation:
    """Check and complete a translation.

    Args:
        source: the prompt's task.
        target: the task whose rows are to be answered.
        words: from label words or values of the source to those of the target; may be left out where both tasks have
            the same label words.
        fields: from field names of the source to those of the target; by default the same names, else the same order.

    Raises:
        SoftPromptError: the kinds differ, a class or a field has no counterpart, a name is unknown, or a metric of the
            target takes a library that is not installed.
    """
    check_libraries(target)
    if source.kind != target.kind or (source.kind == "regression" and source.bounds != target.bounds):
        raise SoftPromptError(
            f"task {target.name!r} ({target.kind}) asks for other answers than the prompt's task {source.name!r} "
            f"({source.kind}) gives: choose a task of the same kind"
        )
    if source.kind == "tags":
        raise SoftPromptError(
            f"task {source.name!r} has a tag for each word, which no translation is for: "
            "evaluate the prompt on rows of the other task with its own tags"
        )
    return Translation(_classes(source, target, dict(words or {})), _fields(source, target, dict(fields or {})))


def transfer_metrics(
    prompt: Prompt,
    target: Task,
    rows: Sequence[Row],
    *,
    words: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    template: Whose = "source",
    batch_size: int = 32,
    tick: Tick | None = None,
) -> dict[str, Any]:
    """Score a prompt on another task's labelled rows.

    Args:
        prompt: a loaded prompt with its task.
        target: the other task, which gives the metrics.
        rows: its labelled rows.
        words: see `translation`.
        fields: see `translation`; of no use with the target's template.
        template: whose text stands around a row.
        batch_size: rows a forward pass.
        tick: called with the number of rows done.

    Returns:
        The target's metrics with `rows`, `interval`, `loss`, and `seen_rows`, None where the prompt cannot know all.

    Raises:
        SoftPromptError: the prompt has no task, or the tasks do not fit together.

    Example:
        >>> sp.transfer_metrics(prompt, task, task.splits().test)["rows"]
        4
    """
    rows = given_rows("transfer_metrics", prompt, Task, target, rows)
    if prompt.task is None or prompt.readout is None:
        raise SoftPromptError("this prompt was saved without a task, so there is nothing to transfer")
    if template not in get_args(Whose):
        raise SoftPromptError(f"template is {quoted(template)}: choose one of {', '.join(get_args(Whose))}")
    if template == "target" and fields:
        raise SoftPromptError("fields are renamed for the source's template: leave them out with the target's")
    source = prompt.task if template == "source" else _with_template(prompt.task, target)
    found = translation(source, target, words, fields)
    readout = prompt.readout if template == "source" else _readout(prompt, source)
    asked = [_asked(row, found) for row in rows]
    with prompt.attached() as prompted:
        outcomes = answered(predict(prompted, readout, asked, batch_size=batch_size, tick=tick))
    translated = [_translated(one, row, found) for one, row in zip(outcomes, rows, strict=True)]
    return {**score(target, rows, translated), "seen_rows": prompt.seen.count(rows)}


def _with_template(source: Task, target: Task) -> Task:
    """The source's answers under the target's text."""
    kept = {"name", "kind", "labels", "seq2seq_labels", "label_aliases", "bounds", "metrics"}
    own = source.model_dump(include=kept)
    return Task(**own, fields=target.fields, template=target.template, templates=target.templates)


def _readout(prompt: Prompt, task: Task) -> Readout:
    assert prompt.readout is not None
    assert prompt.readout_spec is not None
    made = build_readout(task, prompt.backbone, prompt.producer, prompt.readout_spec)
    if prompt.readout.stored():
        made.load_stored(prompt.readout.stored())
    return made


def _classes(source: Task, target: Task, words: dict[str, str]) -> tuple[int, ...]:
    if source.kind != "classification":
        if words:
            raise SoftPromptError(
                f"task {source.name!r} has no classes whose words could be translated: leave them out"
            )
        return ()
    if not words:
        if set(source.label_words()) != set(target.label_words()):
            raise SoftPromptError(
                f"the prompt answers with {_listed(source)} and task {target.name!r} has {_listed(target)}: say which "
                f"is which, as --words {source.label_words()[0]}={target.label_words()[0]},..."
            )
        return tuple(target.label_words().index(word) for word in source.label_words())
    classes: dict[int, int] = {_class(source, one): _class(target, other) for one, other in words.items()}
    for index, value in enumerate(source.label_values):
        if index not in classes:
            raise SoftPromptError(f"the words leave out the prompt's label {value!r}: translate {_listed(source)}")
    for index, value in enumerate(target.label_values):
        if index not in classes.values():
            raise SoftPromptError(
                f"no word is translated to label {value!r} of task {target.name!r}, so it could never be the answer"
            )
    return tuple(classes[index] for index in range(len(source.labels)))


def _class(task: Task, name: str) -> int:
    """The class that a label word or value names; words come first."""
    for names in (task.label_words(), task.label_words(seq2seq=True), task.label_values):
        if name in names:
            return names.index(name)
    if name in task.label_aliases:
        return task.label_values.index(task.label_aliases[name])
    raise SoftPromptError(f"task {task.name!r} has no label {name!r}: it has {_listed(task)}")


def _listed(task: Task) -> str:
    words = task.label_words()
    return ", ".join(
        value if word == value else f"{word} ({value})" for value, word in zip(task.label_values, words, strict=True)
    )


def _fields(source: Task, target: Task, named: dict[str, str]) -> dict[str, str]:
    for own, other in named.items():
        if own not in source.fields or other not in target.fields:
            raise SoftPromptError(
                f"fields {own}={other}: the prompt's task has {', '.join(source.fields)}, task {target.name!r} has "
                f"{', '.join(target.fields)}"
            )
    found = {**{name: name for name in source.fields if name in target.fields}, **named}
    lacking = [name for name in source.fields if name not in found]
    if lacking and not named and len(source.fields) == len(target.fields):
        return dict(zip(source.fields, target.fields, strict=True))
    if lacking:
        raise SoftPromptError(
            f"the prompt's field {lacking[0]!r} has no counterpart among {', '.join(target.fields)}: name it, as "
            f"--fields {lacking[0]}={target.fields[0]}"
        )
    return found


def _asked(row: Row, found: Translation) -> Row:
    """The row as the source task knows it; a class is left out, for its number is the target's."""
    fields = {own: row.fields[other] for own, other in found.fields.items()}
    return replace(row, fields=fields, label=None if found.classes else row.label)


def _translated(outcome: Outcome, row: Row, found: Translation) -> Outcome:
    if not found.classes:
        return outcome
    if outcome.probabilities is None:
        return Outcome(found.classes[int(outcome.value)], None, None)
    chances = [0.0] * (max(found.classes) + 1)
    for own, chance in zip(found.classes, outcome.probabilities, strict=True):
        chances[own] += chance
    loss = None if row.value is None else -math.log(max(chances[int(row.value)], sys.float_info.min))
    return Outcome(chances.index(max(chances)), tuple(chances), loss)
