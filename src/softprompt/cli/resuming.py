"""`train --resume`: what is not given is as the run in --out recorded it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from softprompt.cli.guessing import Columns, task_of
from softprompt.cli.known import METHOD
from softprompt.cli.settings import check_any, check_names, refuse_twice, split_options
from softprompt.errors import SoftPromptError
from softprompt.files.places import RUN, refuse_run
from softprompt.guards.paths import folder_for

if TYPE_CHECKING:
    from softprompt.backbones.backbone import Backbone
    from softprompt.methods.base import Method
    from softprompt.presets.definition import Preset, UsedPreset
    from softprompt.tasks import Task
    from softprompt.training.begun import RunRecord
    from softprompt.training.options import TrainingOptions


@dataclass(frozen=True)
class WantedRows:
    """What `Task.with_data` is told; None takes the run's where one goes on, and else what the verb's help says."""

    data: Path | None
    shots: int | None
    seed: int
    max_test_rows: int | None
    validation_data: Path | None
    test_data: Path | None
    test_size: float | None
    skip_bad: bool | None
    encoding: str | None


class How(NamedTuple):
    """How a run is begun, whatever it is of; a seed of None is a run's own where one goes on."""

    seed: int | None
    dtype: str
    device: str | None
    resume: bool
    silent: bool


@dataclass(frozen=True)
class Given:
    """What names a run on the command line; None where it was not given.

    Attributes:
        out: its folder.
        backbone: a name.
        task: a name or a YAML file.
        template: a name of one of its patterns, or a text.
        method: a name.
        pairs: of `--set`, those of the verb's own options among them.
        select: layers.
        columns: of a table without a task.
        preset: a name, or a YAML file.
    """

    out: Path
    backbone: str | None
    task: str | None
    template: str | None
    method: str | None
    pairs: list[str]
    select: str | None
    columns: Columns
    preset: str | None = None

    def check(self, data: Path | None, *, resume: bool) -> None:
        """Look for faults before torch is imported.

        Raises:
            BadParameter: something is left out, and there is no run that recorded it.
            SoftPromptError: there is no such method or option, or the folder holds a run or cannot be one.
        """
        folder_for(self.out, "--out")
        if not resume:
            refuse_run(self.out)
        there = {
            "--backbone": self.backbone,
            "--task (or --data with a table)": data if self.task is None else self.task,
        }
        missing = [name for name, value in there.items() if value is None]
        if missing and not resume:
            raise typer.BadParameter(f"no {', '.join(missing)}: give it, or --resume to go on with the run in --out")
        if missing and not (self.out / RUN).is_file():
            raise SoftPromptError(
                f"{self.out}: no run to go on with (no {RUN}): give {', '.join(missing)} to begin one"
            )
        own = self._preset()
        self.columns.check(self.task)
        if self.select is not None:
            refuse_twice(self.pairs, "select", METHOD)
        method = self.method if own is None else own.method
        if method is not None:
            check_names(self.pairs, method)
        elif not resume:
            check_any(self.pairs)

    def _preset(self) -> Preset | None:
        """The preset that is asked for.

        Raises:
            SoftPromptError: there is none, or it is of another method.
        """
        if self.preset is None:
            return None
        from softprompt.presets.catalog import preset

        found = preset(self.preset)
        if self.method not in (None, found.method):
            raise SoftPromptError(f"--preset {found.name} is of method {found.method}: leave --method out")
        return found

    def _check_begun(self, record: RunRecord) -> None:
        """Raise `SoftPromptError` where a run was begun with another preset than is asked for, or with none."""
        own, begun = self._preset(), None if record.preset is None else record.preset.name
        if own is not None and own.name != begun:
            had = f"with preset {begun}" if begun else "without a preset"
            raise SoftPromptError(f"{self.out}: this run was begun {had}: leave --preset out, or choose another --out")

    def preset_of(self, record: RunRecord | None) -> str | UsedPreset | None:
        """The preset of a run that begins, or what one that goes on recorded."""
        return self.preset if record is None else record.preset

    def record(self, *, resume: bool) -> RunRecord | None:
        """What the run in the folder recorded; None where there is none to go on with."""
        if not resume or not (self.out / RUN).is_file():
            return None
        from softprompt.training.begun import RunRecord

        found = RunRecord.read(self.out)
        self._check_begun(found)
        return found

    def task_of(self, record: RunRecord | None, wanted: WantedRows) -> Task:
        """The task with its data, and the method and its options looked at: before a table is read that tells the task.

        Raises:
            SoftPromptError: see `settings`; no such task or data, or an earlier version did not record the data.
        """
        if self.task is not None:  # what it is called is told without torch
            found = self._task(record, wanted)
        if self.method is not None or self.preset is not None or record is not None:
            self.settings(record)
        return found if self.task is not None else self._task(record, wanted)

    def _task(self, record: RunRecord | None, wanted: WantedRows) -> Task:
        from softprompt.tasks import Task

        given = {name: value for name, value in vars(wanted).items() if value is not None and value is not False}
        if record is None:
            return task_of(self.task, self.columns, template=self.template, **{"data": None, **given})
        known: dict[str, Any] = {"data": None, "shots": record.shots}
        if record.begun is not None or (self.task is None and wanted.data is None):
            known.update(record.places(self.out))
        places = {**known, **given}
        if self.columns.given and places["data"] is not None:
            return task_of(None, self.columns, template=self.template, **places)
        if self.task is None and self.template is not None and "{" not in self.template:
            raise SoftPromptError(
                f"--template {self.template}: a run records the words that it took, not their name: leave it out, or "
                "give --task with it"
            )
        own = record.task(self.out) if self.task is None else Task.load(self.task)
        own = own if self.template is None else own.with_template(self.template)
        return own.with_data(**places)

    def settings_for(
        self, backbone: Backbone, record: RunRecord | None, rows: int, *, told: bool
    ) -> tuple[Method, TrainingOptions]:
        """The method and the options of training, with the backbone's default method where none is named or recorded.

        Args:
            backbone: that is loaded.
            record: of the run to go on with, or None.
            rows: to train on.
            told: whether the default is told.
        """
        if self.method is not None or self.preset is not None or record is not None:
            return self.settings(record)
        from softprompt.methods.default import default_method
        from softprompt.progress import Progress
        from softprompt.training.setup import by_default

        chosen, options = replace(self, method=default_method(backbone).method.name).settings(None)
        found = by_default(backbone, options, rows, chosen)
        for line in found.told:
            Progress(told).say(line)
        return chosen, found.options

    def settings(self, record: RunRecord | None) -> tuple[Method, TrainingOptions]:
        """The method and the options of training; see `split_options`."""
        from softprompt.compare.layers import over_layers
        from softprompt.methods.registry import method as method_of

        own = self._preset()
        asked = self.method if own is None else own.method
        name = record.method if asked is None and record is not None else asked or ""
        pairs = self.pairs
        if self.select is not None:
            over_layers(method_of(name))
            pairs = [*pairs, f"{METHOD}.select={self.select}"]
        if record is None:
            return split_options(pairs, name)
        return split_options(pairs, name, record.method_options, record.training_options)

    def loaded(self, record: RunRecord | None, dtype: str, device: str | None) -> Backbone:
        """The backbone, under the name that the run has for it."""
        from softprompt.backbones.load import load_backbone

        if record is None:
            own = self._preset()
            dtype = own.dtype if own is not None and own.dtype is not None and dtype == "auto" else dtype
            return load_backbone(self.backbone or "", dtype=dtype, device=device)
        recorded = (record.begun and record.begun.backbone) or record.backbone
        name = recorded if self.backbone is None else self.backbone
        dtype = record.dtype if dtype == "auto" else dtype
        found = load_backbone(name, dtype=dtype, device=device or record.device)
        return found.named(record.backbone) if self.backbone is None else found
