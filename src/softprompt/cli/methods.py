"""`softprompt methods`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import emit, quiet, table, tell, tell_faults
from softprompt.cli.options import Device, Dtype
from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from softprompt.backbones.backbone import Backbone
    from softprompt.methods.base import Method

CountedOn = Annotated[str | None, typer.Option(help="count scalars for this backbone")]
OptionsJson = Annotated[bool, typer.Option("--json", help="print JSON, options and defaults included")]


@dataclass(frozen=True)
class MethodEntry:
    """A line of the list.

    Attributes:
        name: of the method.
        title: of its paper.
        url: of its paper.
        site: where it enters the model.
        options: for each its default and what it is.
        trained: scalars on the backbone; None without one.
        tunable: these in percent of the backbone's parameters, a readout's not among them.
        stored: likewise, in the prompt's file.
        refused: why it cannot serve the backbone.
        recipe: how it is trained on the backbone, and whether its rate is unmeasured on the backbone's family.
    """

    name: str
    title: str
    url: str
    site: str
    options: dict[str, dict[str, object]]
    trained: int | None = None
    tunable: float | None = None
    stored: int | None = None
    refused: str | None = None
    recipe: dict[str, object] | None = None

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON; a recipe is for a backbone alone."""
        order = ("name", "title", "url", "site", "trained", "tunable", "stored", "refused", "options")
        found = {key: getattr(self, key) for key in order}
        return found if self.recipe is None else {**found, "recipe": self.recipe}


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

    frozen: Backbone | None = None
    if backbone is not None:
        from softprompt.backbones.load import load_backbone

        frozen = load_backbone(backbone, dtype=dtype, device=device)
    found = [_counted(cls, frozen) for cls in METHODS.all().values()]
    if json:
        emit([one.as_dict() for one in found])
        tell_faults(METHODS.faults(), sys.stderr)
        return
    rows = [[one.name, one.site, *_counts(one), one.refused or f"{one.title} {one.url}"] for one in found]
    where = f" on {backbone}" if backbone else " (give --backbone for their scalars)"
    table(f"methods{where}", ["name", "site", "trained", "tunable %", "stored", "paper"], rows, right=(2, 3, 4))
    if backbone:
        tell("tunable %: trained scalars for a hundred of the backbone's parameters, tied weights counted once")
        tell("a linear head adds C * (H + 1) scalars where the readout is a head")
        tell_unmeasured(found)
    for one in found:
        if one.trained == 0 and one.site != "none" and one.refused is None:
            tell(f"{one.name}: 0 scalars here, for it trains the words of a task's template, and this is no task")
    tell_faults(METHODS.faults())


def tell_unmeasured(found: list[MethodEntry]) -> None:
    """Name the learning rates which were carried over to the backbone's family from others."""
    carried = [
        f"{one.name} {one.recipe['learning_rate']:g}"
        for one in found
        if one.refused is None and one.recipe is not None and one.recipe["unmeasured_on_this_family"]
    ]
    for line in wrap(f"learning rates unmeasured on this family: {', '.join(carried)}", 100) if carried else ():
        tell(line)


def _counted(cls: type[Method], frozen: Backbone | None) -> MethodEntry:
    """What there is to say of a method, with its scalars on a backbone where one is loaded."""
    options = {
        name: {"default": field.default, "description": field.description} for name, field in cls.model_fields.items()
    }
    entry = MethodEntry(cls.name, cls.title, cls.url, cls.site, options)
    if frozen is None:
        return entry
    from softprompt.attached.attach import attach
    from softprompt.backbones.fingerprint import num_parameters
    from softprompt.backbones.tunable import Tunable
    from softprompt.methods.registry import checked
    from softprompt.sites.producer import Producer

    anatomy = frozen.anatomy
    try:
        own = checked(cls, {}, f"method {cls.name!r}")
        recipe = own.recipe(anatomy.family, anatomy.kind)
        carried = recipe.carried_to(anatomy.family)
        entry = replace(entry, recipe={**vars(recipe), "unmeasured_on_this_family": carried})
        with attach(frozen, own) as prompted:
            producer = prompted.prompts[0]
            assert isinstance(producer, Producer)
            trained = sum(p.numel() for p in prompted.prompts.parameters() if p.requires_grad)
            share = Tunable.of(trained, 0, num_parameters(frozen)).percent
            stored = sum(one.numel() for one in producer.stored().values())
            return replace(entry, trained=trained, tunable=share, stored=stored)
    except SoftPromptError as error:
        return replace(entry, refused=str(error))


def _counts(entry: MethodEntry) -> list[str]:
    """Its scalars as cells; empty without a backbone."""
    from softprompt.backbones.tunable import percentage

    share = "" if entry.tunable is None else percentage(entry.tunable)
    return [_number(entry.trained), share, _number(entry.stored)]


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
