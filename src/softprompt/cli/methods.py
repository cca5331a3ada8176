"""`softprompt methods`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from softprompt.cli.common import emit, quiet, table, tell, tell_faults
from softprompt.cli.options import Device, Dtype
from softprompt.errors import SoftPromptError

CountedOn = Annotated[str | None, typer.Option(help="count scalars for this backbone")]
OptionsJson = Annotated[bool, typer.Option("--json", help="print JSON, options and defaults included")]


def methods(
    backbone: CountedOn = None,
    dtype: Dtype = "auto",
    device: Device = None,
    json: OptionsJson = False,
) -> None:
    """List the methods: paper, site, and their scalars on a backbone.

    Example: softprompt methods --backbone embedded:gemma3-270m
    """
    quiet()
    from softprompt.methods.registry import METHODS

    model: Any = None
    tokenizer: Any = None
    if backbone is not None:
        from softprompt.backbones.load import load_backbone

        model, tokenizer = load_backbone(backbone, dtype=dtype, device=device)
    found = [_describe(cls, model, tokenizer) for cls in METHODS.all().values()]
    if json:
        emit(found)
        tell_faults(METHODS.faults(), sys.stderr)
        return
    rows = [
        [m["name"], m["site"], _number(m["trained"]), _number(m["stored"]), m["refused"] or f"{m['title']} {m['url']}"]
        for m in found
    ]
    where = f" on {backbone}" if backbone else " (give --backbone for their scalars)"
    table(f"methods{where}", ["name", "site", "trained", "stored", "paper"], rows, right=(2, 3))
    if backbone:
        tell("a linear head adds C * (H + 1) scalars where the readout is a head")
    tell_faults(METHODS.faults())


def _describe(cls: Any, model: Any, tokenizer: Any) -> dict[str, Any]:
    about: dict[str, Any] = {
        "name": cls.name,
        "title": cls.title,
        "url": cls.url,
        "site": cls.site,
        "trained": None,
        "stored": None,
        "refused": None,
        "options": {
            name: {"default": field.default, "description": field.description}
            for name, field in cls.model_fields.items()
        },
    }
    if model is None:
        return about
    from softprompt.attached.attach import attach
    from softprompt.backbones.anatomy import read_anatomy
    from softprompt.methods.registry import checked

    anatomy = read_anatomy(model)
    try:
        own = checked(cls, {}, f"method {cls.name!r}")
        about["recipe"] = vars(own.recipe(anatomy.family, anatomy.kind))
        with attach(model, tokenizer, own) as prompted:
            about["trained"] = sum(p.numel() for p in prompted.prompts.parameters() if p.requires_grad)
            about["stored"] = sum(t.numel() for t in prompted.prompts[0].stored().values())  # type: ignore[operator]
    except SoftPromptError as error:
        about["refused"] = str(error)
    return about


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
