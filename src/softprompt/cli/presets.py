"""`softprompt presets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import emit, quiet, table, tell
from softprompt.cli.completing import presets_by_name
from softprompt.cli.options import Json

if TYPE_CHECKING:
    from softprompt.presets.definition import Preset, PresetRun


OnePreset = Annotated[str | None, typer.Argument(help="show one preset with its runs", autocompletion=presets_by_name)]


def presets(
    name: OnePreset = None,
    json: Json = False,
) -> None:
    """List the presets, which are the settings of papers' own runs, or show one with its sources.

    Example: softprompt presets lester
    """
    quiet()
    from softprompt.presets.catalog import preset, preset_names

    found = [preset(one) for one in (preset_names() if name is None else [name])]
    if json:
        own = [one.model_dump(mode="json", exclude_defaults=True) for one in found]
        emit(own if name is None else own[0])
        return
    if name is not None:
        _show(found[0])
        return
    rows = [[one.name, one.method, one.description] for one in found]
    table("presets (softprompt presets NAME shows one; train --preset NAME)", ["name", "method", "what"], rows)


def _show(preset: Preset) -> None:
    """Its sources, what holds in all runs, and what each adds."""
    tell(f"{preset.name}: {preset.description}")
    tell(f"paper: {preset.title} <{preset.url}>")
    tell(f"source: {preset.source}")
    tell(f"evidence: {preset.evidence}")
    dtype = [] if preset.dtype is None else [f"dtype={preset.dtype}"]
    tell(f"all runs: {', '.join([f'method {preset.method}', *_settings(preset), *dtype])}")
    for task, other in preset.tasks.items():
        tell(f"task {task} is cast as {other}")
    rows = []
    for run in preset.runs:
        where = ", ".join([*run.kinds, *run.families, *(f"task {task}" for task in run.tasks)])
        words = [] if run.template is None else [f"template={run.template}"]
        own = ", ".join([*_settings(run), *words])
        rows.append([run.name, where, own + (f" ({run.source})" if run.source is not None else "")])
    table("runs, the first that fits backbone and task is taken", ["run", "for", "settings"], rows)


def _settings(of: Preset | PresetRun) -> list[str]:
    """Options of the method and of training, as `--set` takes them."""
    twice, found = of.options.keys() & of.training.keys(), []
    for owner, options in (("method.", of.options), ("training.", of.training)):
        for name, value in options.items():
            shown = ",".join(map(str, value)) if isinstance(value, list) else value
            found.append(f"{owner if name in twice else ''}{name}={shown}")
    return found
