"""Options that several verbs take, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

Dtype = Annotated[
    str,
    typer.Option(help="of the backbone: float32, bfloat16, float16, or auto, which measures what is fast here"),
]
Device = Annotated[
    str | None, typer.Option(help="for the backbone, as cpu or cuda:1; default: the first GPU, or the CPU")
]
