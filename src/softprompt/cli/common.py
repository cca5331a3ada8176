"""What several verbs share: quiet libraries, options from the command line, tables."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from softprompt.errors import SoftPromptError, shown

if TYPE_CHECKING:
    from softprompt.evaluation.score import Scores
    from softprompt.storage.prompt import Prompt
    from softprompt.tasks import Task


_SILENCE = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}


class _Notes(logging.Handler):
    """What the library tells of its choices, one line each on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        print(shown(record.getMessage()), file=sys.stderr)


def quiet(*, silent: bool = False) -> None:
    """Only this program speaks: the libraries' own notices and bars are off, and its own notes go to standard error.

    Args:
        silent: it tells no notes either.
    """
    import warnings

    warnings.filterwarnings("ignore")
    # What is not imported yet reads its environment when it is: to import it here would make every refusal wait.
    if "transformers" in sys.modules:
        from transformers.utils import logging as transformers_logging

        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
    if "datasets" in sys.modules:
        from datasets.utils.logging import disable_progress_bar

        disable_progress_bar()
    for name, value in _SILENCE.items():
        os.environ.setdefault(name, value)
    own = logging.getLogger("softprompt")
    own.setLevel(logging.ERROR if silent else logging.INFO)
    if not any(isinstance(handler, _Notes) for handler in own.handlers):
        own.addHandler(_Notes())


@contextmanager
def telling_interruptions() -> Iterator[None]:
    """Say where a run stopped that was interrupted, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt as stop:
        print(shown(f"interrupted: {stop}") if str(stop) else "interrupted", file=sys.stderr)
        sys.exit(130)


def check_rows(task: Task, seeds: Sequence[int], *, silent: bool) -> int:
    """Read a task's rows for each seed: faults in the data show before a backbone is loaded.

    Returns:
        How many rows the last one trains on.

    Raises:
        SoftPromptError: there is such a fault.
    """
    from softprompt.progress import Progress
    from softprompt.tasks.data.watching import watching

    with watching(Progress(not silent).work):
        return [len(task.splits(seed).train) for seed in seeds][-1]


def prompt_folder(run: Path) -> Path:
    """The prompt's own folder, given it or its run's.

    Raises:
        SoftPromptError: there is none, or the run is not finished.
    """
    from softprompt.files.places import stored_prompt
    from softprompt.interop.hub import at_hand

    path = stored_prompt(at_hand(run), "run")
    if not path.exists():
        raise SoftPromptError(f"{path}: no such folder; name the --out folder of a run")
    return path


def open_prompt(
    folder: Path, backbone: str | None, dtype: str = "auto", device: str | None = None, *, int8: bool = False
) -> Prompt:
    """The prompt of a run or prompt folder, with its backbone loaded.

    Raises:
        SoftPromptError: no prompt there, or its backbone cannot be loaded.
    """
    path = prompt_folder(folder)
    from softprompt.backbones.load import load_backbone
    from softprompt.files.places import META
    from softprompt.storage.prompt import load
    from softprompt.storage.record import read_description

    name = backbone if backbone is not None else read_description(path).record.backbone_name
    if name is None:
        raise SoftPromptError(f"{path / META}: does not name its backbone; give --backbone")
    return load(path, load_backbone(name, dtype=dtype, device=device, int8=int8))


def emit(value: object) -> None:
    """JSON for a program to read."""
    from softprompt.files import strict_json

    ascii_only = not (sys.stdout.encoding or "ascii").lower().startswith("utf")
    sys.stdout.write(strict_json.dumps(value, ascii_only=ascii_only) + "\n")


def tell(line: str) -> None:
    """One line on standard output, whatever names stand in it."""
    print(shown(line))


def tell_faults(faults: Iterable[str], stream: TextIO | None = None) -> None:
    """One line for each thing that an installed package brings and that cannot be used."""
    for fault in faults:
        print(shown(f"fails: {fault}"), file=stream)


def all_tasks() -> tuple[list[Task], list[str]]:
    """The tasks that there are, and why others of installed packages cannot be used."""
    from softprompt.tasks import Task
    from softprompt.tasks.registry import TASKS

    found = {name: _loaded(name) for name in Task.catalog()}
    tasks = [one for one in found.values() if isinstance(one, Task)]
    return tasks, [*TASKS.faults(), *(one for one in found.values() if isinstance(one, str))]


def _loaded(name: str) -> Task | str:
    """A task, or why it cannot be used."""
    from softprompt.tasks import Task

    try:
        return Task.load(name)
    except SoftPromptError as error:
        return str(error)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """A table that fits 100 columns; what stands in it is text, never markup."""
    drawn = Table(title=Text(shown(title), "table.title"), title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        drawn.add_column(Text(shown(column)), justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(shown(cell)) for cell in row))
    console = Console()
    console.width = min(console.width, 100) if console.is_terminal else 100
    console.print(drawn)


def counted(scores: Scores) -> str:
    """How many rows were scored, and how many of them were seen in training."""
    seen = scores.get("seen_rows")
    return f"{scores['rows']}, {seen} seen" if seen else str(scores["rows"])


def interval(scores: Scores, name: str) -> str:
    """A metric with its 95 % interval."""
    from softprompt.evaluation.score import figure, interval_of

    low, high = interval_of(scores)
    return f"{figure(scores, name):.3f} [{low:.3f}, {high:.3f}]"
