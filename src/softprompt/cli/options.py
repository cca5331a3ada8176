"""Options that several verbs take, each declared once: a verb's signature names them, and says what they default to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softprompt.cli.completing import (
    backbones_by_name,
    parts_by_name,
    patterns_by_name,
    presets_by_name,
    settings_by_name,
    tasks_by_name,
    types_by_name,
)

# The prompt that is looked at.
RunFolder = Annotated[Path, typer.Argument(help="folder of a run or of a prompt")]
PromptBackbone = Annotated[str | None, typer.Option(help="where the prompt's backbone is now")]

# What is trained, and where it goes.
BACKBONE = typer.Option(
    help="hub name, folder, GGUF file or embedded:gemma3-270m, embedded:minilm; adapter:NAME adds its adapter",
    autocompletion=backbones_by_name,
)
BackboneName = Annotated[str, BACKBONE]
OUT = ("--out", "--output")
RunOut = Annotated[Path, typer.Option(*OUT, help="folder of the run")]
TaskName = Annotated[
    str | None,
    typer.Option(
        help="a task's name (softprompt tasks) or a YAML file; default: guessed from --data",
        autocompletion=tasks_by_name,
    ),
]
TemplateText = Annotated[
    str | None,
    typer.Option(
        "--template",
        help="other words for the task: one of its patterns (softprompt tasks NAME), or a text with {fields} in it",
        metavar="NAME|TEXT",
        autocompletion=patterns_by_name,
    ),
]
TextColumns = Annotated[
    list[str] | None, typer.Option("--text", help="without --task: the text's column; repeat, or a,b; default: guessed")
]
LabelColumn = Annotated[str | None, typer.Option("--label", help="without --task: the label's column; likewise")]
ScoredText = Annotated[
    list[str] | None, typer.Option("--text", help="the text's column in --data, where it is called otherwise there")
]
ScoredLabel = Annotated[str | None, typer.Option("--label", help="the label's column in --data; likewise")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="any option of the method or of training; repeat",
        metavar="NAME=VALUE",
        autocompletion=settings_by_name,
    ),
]
PresetName = Annotated[
    str | None,
    typer.Option(
        help="a paper's settings (softprompt presets) or a YAML file of yours; what you set beside it wins",
        autocompletion=presets_by_name,
    ),
]
LearningRate = Annotated[float | None, typer.Option(help="of the prompt, also --set learning_rate=...")]
Epochs = Annotated[int | None, typer.Option(help="passes over the training rows, also --set epochs=...")]
RowsAStep = Annotated[int | None, typer.Option(help="rows a step, also --set batch_size=...")]
MaxLength = Annotated[int | None, typer.Option(help="most tokens of a row, also --set max_length=...")]
Resume = Annotated[bool, typer.Option("--resume", help="go on with the run in --out")]

# Rows.
FieldPairs = Annotated[list[str] | None, typer.Option(help="name=text, one for each field of the task; makes one row")]
Data = Annotated[
    Path | None, typer.Option(help="a file of rows, or a folder in the task's published layout; default: the hub")
]
ScoredData = Annotated[
    Path | None, typer.Option(help="a file of rows, scored whole, or a folder in the task's published layout")
]
Split = Annotated[
    str | None,
    typer.Option(help="test, validation or train; default: test, or one file as a whole", autocompletion=parts_by_name),
]
SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="leave out rows that cannot be used and count them; they are refused otherwise"),
]
Encoding = Annotated[
    str | None, typer.Option(help="of text files, as cp1250; default: UTF-8, or what their bytes tell without a doubt")
]
ValidationData = Annotated[Path | None, typer.Option(help="a file of rows to validate on")]
TestData = Annotated[Path | None, typer.Option(help="a file of rows to test on")]
TestSize = Annotated[
    float | None,
    typer.Option(help="of one file, test on so many rows, or on a share below 1; default: 0.1, or what --shots leave"),
]
SplitSeed = Annotated[int | None, typer.Option(help="of the split; default: that of the prompt's own run")]
Shots = Annotated[int | None, typer.Option(min=1, help="rows a class to train on, and as many to validate")]
ShotsAsTrained = Annotated[int | None, typer.Option(min=1, help="rows a class; default: as in training")]
MaxTestRows = Annotated[int | None, typer.Option(min=1, help="test on at most so many rows")]
BatchSize = Annotated[int, typer.Option(min=1, help="rows a forward pass")]

# The machine, and what is shown.
Dtype = Annotated[
    str,
    typer.Option(
        help="of the backbone: float32, bfloat16, float16, or auto, which measures what is fast here",
        autocompletion=types_by_name,
    ),
]
Int8 = Annotated[
    bool, typer.Option("--int8", help="on a CPU multiply in int8 where that is faster: answers differ a little")
]
Device = Annotated[
    str | None, typer.Option(help="for the backbone, as cpu or cuda:1; default: the first GPU, or the CPU")
]
Workers = Annotated[int | None, typer.Option(min=1, help="processes; default: 2, or 1 with one core or with a GPU")]
On = Annotated[
    str | None,
    typer.Option(
        "--on", metavar="ray|ray://ADDRESS", help="a cluster: one on this machine or at RAY_ADDRESS, or the one there"
    ),
]
StoreAddress = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="a folder that all nodes of a cluster reach, as s3://BUCKET/TABLE"),
]
Gpus = Annotated[float | None, typer.Option(min=0, help="of a worker in a cluster; default: 1 where it has any")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="results alone: no progress and no notes")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
MetricsJson = Annotated[bool, typer.Option("--json", help="print metrics.json")]
Page = Annotated[Path | None, typer.Option(help="write a picture to this HTML file")]
Host = Annotated[str, typer.Option(help="address to listen at; off this machine a token is needed")]
TokenFile = Annotated[
    Path | None, typer.Option(help="a file with the token that requests must bring; default: $SOFTPROMPT_TOKEN")
]
