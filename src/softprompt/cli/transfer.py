"""`softprompt transfer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from softprompt.cli.common import emit, interval, open_prompt, quiet, table
from softprompt.cli.options import Device, Dtype
from softprompt.cli.scoring import Wanted, check_split, own_task
from softprompt.errors import SoftPromptError


def transfer(
    run: Annotated[Path, typer.Argument(help="folder of a run or of a prompt")],
    task: Annotated[str, typer.Option(help="the other task: a name (softprompt tasks) or a YAML file")],
    data: Annotated[Path | None, typer.Option(help="folder in the task's published layout; default: the hub")] = None,
    words: Annotated[
        str, typer.Option(help="label words of the prompt and what they mean there: here=there,here=there")
    ] = "",
    fields: Annotated[str, typer.Option(help="fields of the prompt's task and those there: question1=sentence1")] = "",
    template: Annotated[str, typer.Option(help="whose text stands around a row: source or target")] = "source",
    source_data: Annotated[
        Path | None,
        typer.Option(help="score the prompt's own task anew on this data; default: as measured in training"),
    ] = None,
    source_task: Annotated[str | None, typer.Option(help="its name or YAML file, with --source-data")] = None,
    split: Annotated[str, typer.Option(help="test, validation or train")] = "test",
    seed: Annotated[int | None, typer.Option(help="of the split; default: that of the prompt's own run")] = None,
    max_test_rows: Annotated[int | None, typer.Option(min=1, help="test on at most so many rows")] = None,
    backbone: Annotated[str | None, typer.Option(help="where the prompt's backbone is now")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="rows a forward pass")] = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Score a trained prompt on another task, without training on it.

    Example: softprompt transfer runs/qqp --task mrpc --data MRPC --words duplicate=equivalent,...
    """
    quiet()
    from softprompt.evaluation.score import metrics_of
    from softprompt.evaluation.transfer import transfer_metrics
    from softprompt.progress import Progress

    check_split(split)
    if template not in ("source", "target"):
        raise SoftPromptError(f"--template {template!r}: choose source or target")
    if source_task is not None and source_data is None:
        raise SoftPromptError("--source-task has no rows: give its --source-data")
    meant, renamed = pairs(words, "--words"), pairs(fields, "--fields")
    prompt = open_prompt(run, backbone, dtype, device)
    own = own_task(prompt, run)
    show = Progress(not json)
    asked = Wanted(task, data, split, seed, None, max_test_rows).rows([prompt], own, show, alike=False)
    source = {"task": own.name, "metric": own.metric, "split": "as trained", **(prompt.meta.get("metrics") or {})}
    if source_data is not None:
        anew = Wanted(source_task, source_data, split, seed, None, max_test_rows).rows([prompt], own, show)
        assert prompt.readout is not None
        with prompt.attach() as prompted, show.work(anew.task.name, len(anew.rows), "rows") as tick:
            found = metrics_of(prompted, prompt.readout, anew.task, anew.rows, batch_size=batch_size, tick=tick)
        source = {**anew.record, "metric": anew.task.metric, **found}
    with show.work(asked.task.name, len(asked.rows), "rows") as tick:
        scored = transfer_metrics(
            prompt,
            asked.task,
            asked.rows,
            words=meant,
            fields=renamed,
            template=template,  # type: ignore[arg-type]
            batch_size=batch_size,
            tick=tick,
        )
    target = {**asked.record, "metric": asked.task.metric, **scored}
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


def _report(method: str, source: dict[str, Any], target: dict[str, Any]) -> None:
    def shown(found: dict[str, Any]) -> str:
        return interval(found, found["metric"]) if found["metric"] in found else "not measured"

    table(
        f"{method}, trained on {source['task']}, asked about {target['task']}",
        ["", "task", "rows of", "count", "metric", "value [95 % interval]"],
        [
            [name, found["task"], found["split"], str(found.get("rows", "")), found["metric"], shown(found)]
            for name, found in (("source", source), ("target", target))
        ],
        right=(3,),
    )
