"""`softprompt transfer`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import emit, interval, open_prompt, quiet, table
from softprompt.cli.completing import tasks_by_name
from softprompt.cli.guessing import Columns, check_named
from softprompt.cli.options import (
    BatchSize,
    Device,
    Dtype,
    Encoding,
    Json,
    MaxTestRows,
    PromptBackbone,
    Quiet,
    RunFolder,
    ScoredData,
    ScoredLabel,
    ScoredText,
    SkipBad,
    Split,
    SplitSeed,
)
from softprompt.cli.scoring import Asked, Stored, Wanted, scored
from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from softprompt.evaluation.score import Scores
    from softprompt.evaluation.transfer import Whose
    from softprompt.progress import Progress
    from softprompt.storage.prompt import Prompt
    from softprompt.tasks import Task

OtherTask = Annotated[
    str | None,
    typer.Option(
        help="the other task: a name (softprompt tasks) or a YAML file; default: guessed from --data",
        autocompletion=tasks_by_name,
    ),
]
Words = Annotated[str, typer.Option(help="label words of the prompt and what they mean there: here=there,here=there")]
Fields = Annotated[str, typer.Option(help="fields of the prompt's task and those there: question1=sentence1")]
WhoseText = Annotated[str, typer.Option(help="whose text stands around a row: source or target")]
SourceData = Annotated[
    Path | None,
    typer.Option(help="score the prompt's own task anew on this data; default: as measured in training"),
]
SourceTask = Annotated[str | None, typer.Option(help="its name or YAML file, with --source-data")]


def transfer(
    run: RunFolder,
    task: OtherTask = None,
    data: ScoredData = None,
    text: ScoredText = None,
    label: ScoredLabel = None,
    words: Words = "",
    fields: Fields = "",
    template: WhoseText = "source",
    source_data: SourceData = None,
    source_task: SourceTask = None,
    split: Split = None,
    seed: SplitSeed = None,
    max_test_rows: MaxTestRows = None,
    skip_bad: SkipBad = False,
    encoding: Encoding = None,
    backbone: PromptBackbone = None,
    batch_size: BatchSize = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Json = False,
    silent: Quiet = False,
) -> None:
    """Score a trained prompt on another task, without training on it.

    Example: softprompt transfer runs/qqp --task mrpc --data MRPC --words duplicate=equivalent,...
    """
    quiet(silent=silent)
    from softprompt.progress import Progress

    check_named(task, data)
    table_columns = Columns.of(text, label)
    wanted = Wanted(task, data, split, seed, None, max_test_rows, skip_bad, encoding, table_columns, guessed=True)
    whose = _whose(template)
    anew = _wanted_anew(source_task, source_data, wanted)
    meant, renamed = pairs(words, "--words"), pairs(fields, "--fields")
    stored, show = Stored.of(run), Progress(not silent)
    asked = wanted.rows([stored], show, alike=False)
    again = None if anew is None else anew.rows([stored], show)
    prompt = open_prompt(run, backbone, dtype, device)
    source = _trained(prompt, stored.task) if again is None else _scored_anew(prompt, again, show, batch_size)
    target = _scored_there(prompt, asked, show, meant, renamed, whose, batch_size)
    if json:
        emit({"method": prompt.method.name, "template": template, "source": source, "target": target})
        return
    _report(prompt.method.name, source, target)


def pairs(text: str, option: str) -> dict[str, str]:
    """`a=b,c=d` as a mapping.

    Raises:
        SoftPromptError: a part without `=`, or the same name twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, equals, value = (one.strip() for one in part.partition("="))
        if not equals or not name or not value:
            raise SoftPromptError(f"{option} {part!r} is no pair: write {option} here=there,here=there")
        if name in found:
            raise SoftPromptError(f"{option} names {name!r} twice: leave one of them out")
        found[name] = value
    return found


def _whose(template: str) -> Whose:
    choices: dict[str, Whose] = {"source": "source", "target": "target"}
    if template not in choices:
        raise SoftPromptError(f"--template {template!r}: choose source or target")
    return choices[template]


def _wanted_anew(task: str | None, data: Path | None, wanted: Wanted) -> Wanted | None:
    """The rows of the prompt's own task that it is to be scored on, None where it was scored in training."""
    if data is not None:
        return replace(wanted, task=task, data=data, columns=Columns(), guessed=False)  # the prompt's own, by default
    if task is not None:
        raise SoftPromptError("--source-task has no rows: give its --source-data")
    return None


def _trained(prompt: Prompt, own: Task) -> Scores:
    """What the prompt was measured at in training."""
    return {"task": own.name, "metric": own.metric, "split": "as trained", **(prompt.meta.get("metrics") or {})}


def _scored_anew(prompt: Prompt, asked: Asked, show: Progress, batch_size: int) -> Scores:
    """What the prompt reaches on other rows of its own task."""
    found = scored(prompt, asked, show, asked.task.name, batch_size).scores
    return {**asked.record, "metric": asked.task.metric, **found}


def _scored_there(
    prompt: Prompt,
    asked: Asked,
    show: Progress,
    words: dict[str, str],
    fields: dict[str, str],
    template: Whose,
    batch_size: int,
) -> Scores:
    """What the prompt reaches on the other task."""
    from softprompt.evaluation.transfer import transfer_metrics

    how = {"words": words, "fields": fields}
    with show.work(asked.task.name, len(asked.rows), "rows") as tick:
        found = transfer_metrics(
            prompt, asked.task, asked.rows, **how, template=template, batch_size=batch_size, tick=tick
        )
    return {**asked.record, "metric": asked.task.metric, **found}


def _report(method: str, source: Scores, target: Scores) -> None:
    def shown(found: Scores) -> str:
        metric = str(found["metric"])
        return interval(found, metric) if metric in found else "not measured"

    table(
        f"{method}, trained on {source['task']}, asked about {target['task']}",
        ["", "task", "rows of", "count", "metric", "value [95 % interval]"],
        [
            [name, *(str(found.get(key, "")) for key in ("task", "split", "rows", "metric")), shown(found)]
            for name, found in (("source", source), ("target", target))
        ],
        right=(3,),
    )
