"""Whose a run's folder is, and what it holds already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.files.documents import read_document
from softprompt.files.places import AUTO, METRICS, RUN, refuse_run
from softprompt.files.whole import write_json
from softprompt.guards.paths import entries, folder_for
from softprompt.training.identity import run_difference


def output_folder(output: str | Path | None, usual: str = "") -> Path:
    """The folder of a run.

    Args:
        output: as the user gave it.
        usual: its name in `runs` where the user gave none.

    Raises:
        SoftPromptError: nothing can be written there, or the usual name, which a task's name is part of, is no name of
            a folder.
    """
    if output is None and Path(usual).name != usual:
        raise SoftPromptError(f"runs/{usual} is no place for a run: give output, or a task name without / in it")
    return folder_for(Path("runs") / usual if output is None else output, "output")


@contextmanager
def leaving_nothing(folder: Path, fresh: bool) -> Iterator[None]:
    """Take back what this very call began where the run is refused before it has written anything else.

    Args:
        folder: in the hands of this process (`hold`): what another began there is none of its business.
        fresh: it was made by this call.
    """
    try:
        yield
    except SoftPromptError:
        if fresh and folder.is_dir() and {path.name for path in entries(folder)} <= {RUN}:
            (folder / RUN).unlink(missing_ok=True)
            folder.rmdir()
        raise


def take_folder(
    folder: Path, identity: Mapping[str, object], resume: bool, begun: Mapping[str, object] | None = None
) -> bool:
    """Take the folder for this run; whether the run in it is finished.

    Args:
        folder: in the hands of this process.
        identity: of this run.
        resume: the folder may hold it already.
        begun: what is recorded beside the identity and makes no difference to it.

    Raises:
        SoftPromptError: it holds something else.
    """
    known = folder / RUN
    if known.is_file():
        if not resume:
            refuse_run(folder)
        finished = (folder / METRICS).is_file()
        check_same(folder, identity, finished=finished)
        return finished
    check_free(folder)
    write_json(known, {**identity, **(begun or {})})
    return False


def check_free(folder: Path) -> None:
    """Make sure that a run can begin in a folder: nothing stands there, or the choice of its method alone.

    Raises:
        SoftPromptError: something does.
    """
    if folder.is_dir() and any(path.name != AUTO for path in entries(folder)):
        raise SoftPromptError(f"{folder} is not empty and holds no run: choose another output")
    if folder.exists() and not folder.is_dir():
        raise SoftPromptError(f"{folder} is a file: choose another output")


def check_same(folder: Path, identity: Mapping[str, object], *, finished: bool) -> None:
    """Make sure that the run in a folder is this one.

    Args:
        folder: with a `run.json`.
        identity: of this run.
        finished: it will only be read.

    Raises:
        SoftPromptError: it is another, with the first difference.
    """
    differs = run_difference(read_document(folder / RUN), identity, finished=finished)
    if differs is not None:
        raise SoftPromptError(f"{folder} holds {differs}")
