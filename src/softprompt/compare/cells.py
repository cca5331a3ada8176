"""A cell of a table: one run of `softprompt.train`, told so that another process can begin it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from softprompt.backbones.backbone import Backbone
from softprompt.backbones.source import name_alone
from softprompt.compare.pausing import Pausing
from softprompt.methods.registry import method as method_of
from softprompt.progress import Progress
from softprompt.tasks import Task
from softprompt.tasks.data.folds import Fold, of_fold
from softprompt.training.fitting.kept_files import sharing_kept
from softprompt.training.options import training_options
from softprompt.training.run import Run, train
from softprompt.training.specified import WantedRun

_OTHERS = re.compile(r"[^A-Za-z0-9._=,+@-]+")  # what no name of a folder should have
_LONGEST, _KEPT = 120, 108  # characters of a name, and what is kept of a longer one


class Cell(BaseModel):
    """A method with its options, a task, a backbone, a seed and a number of shots.

    Attributes:
        name: its own, and that of its folder.
        folder: of the run.
        backbone: a name, as `load_backbone` takes it.
        dtype: of the weights.
        device: for the backbone; None for the usual one.
        task: a name or a YAML file; None where the data tell the task.
        data: a file or folder; None for the task's package or the hub.
        method: its name.
        method_options: its options.
        training_options: those of training.
        preset: a paper's settings, by name or a YAML file; None for none.
        seed: of the split, the first values and the order of rows.
        shots: rows a class; None for all.
        max_test_rows: at most so many test rows; None for all.
        skip_bad: rows that cannot be used are left out.
        fold: of the training and validation rows that is tested on in place of the test rows, see
            `softprompt.tasks.data.folds`; None for the task's own division.
        pause: after so many evaluations, see `softprompt.compare.pausing`; None for never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    folder: str
    backbone: str
    dtype: str = "auto"
    device: str | None = None
    task: str | None = None
    data: str | None = None
    method: str
    method_options: dict[str, JsonValue] = {}
    training_options: dict[str, JsonValue] = {}
    preset: str | None = None
    seed: int
    shots: int | None = None
    max_test_rows: int | None = None
    skip_bad: bool = False
    fold: Fold | None = None
    pause: int | None = None

    @property
    def loading(self) -> tuple[str, str, str | None]:
        """What `load_backbone` is told: cells of which this is the same share a backbone."""
        return self.backbone, self.dtype, self.device


def kind_of(cell: Cell) -> str:
    """All of a cell but its seed."""
    return cell.model_dump_json(exclude={"name", "folder", "seed"})


class LoadedTasks:
    """The tasks of cells, each read once."""

    def __init__(self) -> None:
        """See the class."""
        self._known: dict[tuple[object, ...], Task] = {}

    def of(self, cell: Cell) -> Task:
        """The task of a cell, with its rows' source.

        Raises:
            SoftPromptError: no such task or data.
        """
        # A guess may look at the rows that a seed draws; a definition does not.
        seed = cell.seed if cell.task is None else None
        key = (cell.task, cell.data, cell.shots, cell.max_test_rows, cell.skip_bad, seed)
        if key not in self._known:
            self._known[key] = _task(cell).reading_once()
        known = self._known[key]
        own = known.source
        return known if cell.fold is None or own is None else known.with_source(of_fold(own, cell.fold))


def _task(cell: Cell) -> Task:
    shots, seed, most, skip = cell.shots, cell.seed, cell.max_test_rows, cell.skip_bad
    if cell.task is None:
        return Task.from_file(cell.data, shots=shots, seed=seed, max_test_rows=most, skip_bad=skip)
    return Task.load(cell.task, cell.data, shots=shots, seed=seed, max_test_rows=most, skip_bad=skip)


def wanted_run(cell: Cell, task: Task) -> WantedRun:
    """A cell as `softprompt.train` has it.

    Raises:
        SoftPromptError: no such method or option.
    """
    method = method_of(cell.method, **cell.method_options)
    options = training_options(cell.training_options)
    return WantedRun(task, method, options, cell.seed, cell.folder, resume=True, preset=cell.preset)


def train_cell(cell: Cell, backbone: Backbone, task: Task, show: Progress) -> Run:
    """Train a cell, go on with it, or read it where it is finished; see `softprompt.train`.

    Raises:
        Paused: it has come as far as it was to come.
    """
    asked = wanted_run(cell, task)
    if cell.pause is not None:
        show = Pausing(show, Path(cell.folder), cell.pause)
        show.check()
    with sharing_kept(Path(cell.folder).parent):
        done: Run = train(
            backbone,
            task,
            asked.method,
            asked.options,
            seed=asked.seed,
            output=asked.output,
            resume=True,
            preset=asked.preset,
            progress=show,
        )
    return done


def method_label(method: str, preset: str | None, settings: Mapping[str, JsonValue]) -> str:
    """A method with what is set of it, in short.

    Example:
        >>> from softprompt.compare.cells import method_label
        >>> method_label("lora", None, {"rank": 4})
        'lora,rank=4'
    """
    paper = "" if preset is None else f"@{Path(preset).stem}"
    return ",".join([f"{method}{paper}", *(f"{name}={value}" for name, value in settings.items())])


def cell_name(task: str, method: str, backbone: str, rows: tuple[int | None, int | None], seed: int) -> str:
    """The name of a cell, which says all that makes it another than those beside it.

    Args:
        task: its name.
        method: its label, see `method_label`.
        backbone: its name, of which the last part counts.
        rows: shots and most test rows, where they are limited.
        seed: of the run.

    Example:
        >>> from softprompt.compare.cells import cell_name
        >>> cell_name("sst2", "capt", "embedded:minilm", (16, None), 13)
        'sst2-capt-minilm-16shots-13'
    """
    limits = [f"{count}{unit}" for count, unit in zip(rows, ("shots", "test"), strict=True) if count is not None]
    name = _OTHERS.sub("_", "-".join([task, method, short_backbone(backbone), *limits, str(seed)]))
    return name if len(name) <= _LONGEST else f"{name[:_KEPT]}~{digest_of_text(name)[:10]}"


def short_backbone(name: str) -> str:
    """The last part of a backbone's name.

    Example:
        >>> from softprompt.compare.cells import short_backbone
        >>> short_backbone("embedded:minilm")
        'minilm'
    """
    return re.split("[:/]", name_alone(name))[-1]


def digest_of_text(*texts: str) -> str:
    """A hash of texts (BLAKE2b, 128 bits)."""
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()
