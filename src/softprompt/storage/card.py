"""The model card of a prompt folder."""

from __future__ import annotations

import re

from softprompt.backbones.embedded import ORIGINS
from softprompt.backbones.source import is_local
from softprompt.files import strict_json
from softprompt.methods.base import Method
from softprompt.presets.definition import UsedPreset
from softprompt.readouts import Readout
from softprompt.readouts.mixture import Mixture
from softprompt.storage.record import Measured, PromptRecord
from softprompt.tasks import Task
from softprompt.tasks.text.encoding import RowEncoder

# `owner/name`: a name without an owner may be anybody's own word for a model.
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def model_card(record: PromptRecord, method: Method, task: Task | None, readout: Readout | None) -> str:
    """A README in the hub's form: what the prompt is, what it was measured at and how to use it.

    Args:
        record: what `prompt.json` holds.
        method: of the prompt.
        task: that it was trained for, or None.
        readout: how its answers are read, or None.
    """
    name = record.backbone_name
    return "\n".join(
        [
            "---",
            "library_name: softprompt",
            *base_model(name),
            f"tags: [soft-prompt, {method.name}]",
            "---",
            "",
            f"# {'a' if task is None else _line(task.name)} prompt ({method.name})",
            "",
            *about(record, method, task, readout),
            "",
            *_use(name),
        ]
    )


def base_model(name: str | None) -> list[str]:
    """The header's line for a backbone of the hub; none for another."""
    origin = ORIGINS.get(name or "", name)
    return [f"base_model: {origin}"] if origin and _HUB_NAME.fullmatch(origin) and not is_local(origin) else []


def about(record: PromptRecord, method: Method, task: Task | None, readout: Readout | None) -> list[str]:
    """What a prompt is, how its answers are read, and what it was measured at: lines of a README.

    Args:
        record: see `model_card`.
        method: likewise.
        task: likewise.
        readout: likewise.
    """
    backbone, name = record.backbone, record.backbone_name
    of = f" {_code(name)}," if name else ""
    used = ", ".join(_code(f"{key}={value!r}") for key, value in method.in_use().items())
    lines = [
        f"A soft prompt for the frozen backbone{of} of the family `{backbone.family}` with {backbone.num_parameters:,} "
        "parameters.",
        "",
        f"- Method: {method.title}, <{method.url}>",
        f"- Options: {used or 'none'}",
        *([] if record.preset is None else [_preset(record.preset)]),
    ]
    if record.tunable is not None:
        lines.append(f"- Tunable: {record.tunable.sentence()}")
    if task is not None and readout is not None:
        lines += _reading(task, readout)
    if record.metrics.model_fields_set:
        lines.append(
            f"- Measured with seed {record.seed}{_measured(record.metrics, None if task is None else task.metric)}"
        )
    if task is not None and record.metrics.majority is not None:
        least = f"{record.metrics.majority:.3f} ({_line(task.metric)})"
        lines.append(f"- Always answering the most frequent class would reach {least} there")
    return lines


def _measured(metrics: Measured, main: str | None) -> str:
    """On which rows, and the task's metrics, the main one with its interval."""
    rows = "" if metrics.rows is None else f" on {metrics.rows:,} test rows"
    if metrics.seen_rows:
        rows += f", {metrics.seen_rows:,} of which it was trained or chosen on"
    low, high = metrics.interval or (None, None)
    told = []
    for name, value in {**(metrics.__pydantic_extra__ or {}), "loss": metrics.loss}.items():
        if value is not None:
            interval = f" (95 % interval {low:.3f} to {high:.3f})" if name == main and low is not None else ""
            told.append(f"{_line(name)} {value:.3f}{interval}")
    return f"{rows}: {', '.join(told) or 'nothing'}"


def _preset(used: UsedPreset) -> str:
    """Whose settings the run had, and what it had otherwise."""
    changed = ", ".join(_code(f"{name}={value!r}") for name, value in used.changed.items())
    return f"- Preset: {_code(used.name)}, {_line(used.run)}{f'; otherwise than there: {changed}' if changed else ''}"


def _reading(task: Task, readout: Readout) -> list[str]:
    """What the model reads, and where the answer comes from."""
    members = readout.members if isinstance(readout, Mixture) else (readout,)
    # A package's readout may read its rows in a way of its own.
    encoders = [getattr(member, "row_encoder", None) for member in members]
    templates = [_code(str(one.template)) for one in encoders if isinstance(one, RowEncoder)]
    words = ", ".join(_line(word) for word in task.labels.values())
    if readout.name == "head":
        classes = ", ".join(_line(value) for value in task.label_values)
        answers = f"a linear head, which is stored too{f'; classes: {classes}' if classes else ''}"
    elif readout.name == "rows":
        answers = f"trained output rows, which are stored too, one a label{f': {words}' if words else ''}"
    else:
        answers = f"the language-model head; label words: {words or 'none'}"
    shown = [f"- Template{'s' * (len(templates) > 1)}: {', '.join(templates)}"] if templates else []
    return [*_columns(task), *shown, f"- Answers are read by {answers}"]


def _columns(task: Task) -> list[str]:
    """Which columns of a table its rows are made of, where they are not called as the task calls them."""
    if not task.columns:
        return []
    named = {key: " or ".join(map(_code, task.columns.get(key, (key,)))) for key in (*task.fields, "label", "answers")}
    texts = f"the text is column {' and '.join(named[field] for field in task.fields)}"
    answer = "answers" if task.kind == "generation" else "label"
    return [f"- Rows: {texts}; the {answer.removesuffix('s')} is column {named[answer]}"]


def _use(name: str | None) -> list[str]:
    note = []
    if name is None:
        note = ["The backbone's name was not recorded: load the one described above.", ""]
    elif is_local(name):
        note = ["The backbone is a file or folder of the machine on which the prompt was trained: name yours.", ""]
    return [
        *note,
        "```python",
        "import softprompt as sp",
        "",
        f"model, tokenizer = sp.load_backbone({'...' if name is None else strict_json.dumps(name)})",
        'prompt = sp.load("this folder", model, tokenizer)',
        "```",
        "",
    ]


def _code(text: str) -> str:
    """Text in a span of code, which may hold backticks and breaks of lines."""
    shown, fence = _line(text), "``" if "`" in text else "`"
    return f"{fence}{shown}{fence}"


def _line(text: str) -> str:
    return text if text.isprintable() else strict_json.dumps(text)
