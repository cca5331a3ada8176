"""Where things stand on the disk, and what the files of a run and of a prompt are called."""

from __future__ import annotations

from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.guards.paths import unicode_path_of

RUN, METRICS = "run.json", "metrics.json"
AUTO, CHOICE = "auto", "choice.json"  # in a run whose method was chosen: the folder of what was tried, and the record
LEDGER, CELLS = "compare.json", "cells"  # of a table: what became of its cells, and the folder of their folders
REPORT = "report.html"  # the page of a run, where somebody asked for it
TASKS = "tasks"  # in a run of several tasks: a run for each
JOURNAL, TRIALS = "trials.journal", "trials"  # of a search: what its trials came to, and the folder of their runs
TENSORS, META, CARD = "prompt.safetensors", "prompt.json", "README.md"
# A checkpoint of PEFT's.
ADAPTER, ADAPTER_WEIGHTS, ADAPTER_PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
MODEL, WEIGHTS = "config.json", "model.safetensors"  # what transformers writes: of a model both, of parameters one


def folder_of(given: str | Path) -> Path:
    """The prompt's own folder, given it or its run's.

    Raises:
        SoftPromptError: what was given is no path that can be looked at.
    """
    path = unicode_path_of(given, "run")
    return path / "prompt" if (path / "prompt").is_dir() else path


def stored_prompt(given: str | Path, what: str) -> Path:
    """The folder of a prompt that can be read, given it or its run's.

    Args:
        given: by the user.
        what: it is for, for the message.

    Raises:
        SoftPromptError: what was given is no path that can be looked at, or a run that is not finished.
    """
    folder = unicode_path_of(given, what)
    path = folder if (folder / META).is_file() else folder_of(folder)
    if path == folder and (folder / RUN).is_file():
        refuse_several(folder)
        if (folder / METRICS).is_file():
            raise SoftPromptError(f"{folder}: the run is finished, but its folder prompt is missing: restore it")
        raise SoftPromptError(f"{folder}: this run is not finished: softprompt train --resume --out {folder} goes on")
    _refuse_trainers(path)
    return path


def is_peft(folder: Path) -> bool:
    """Whether a folder is a checkpoint of PEFT's and no prompt of ours."""
    return (folder / ADAPTER).is_file() and not (folder / META).is_file()


def _refuse_trainers(folder: Path) -> None:
    """Raise `SoftPromptError` where a folder holds what transformers' Trainer saved of an attached model."""
    if (folder / META).is_file() or (folder / MODEL).is_file() or not folder.is_dir():
        return
    if (folder / WEIGHTS).is_file():
        raise SoftPromptError(
            f"{folder}: what a Trainer saved ({WEIGHTS}) are a prompt's parameters without its method: attach that "
            f"method, give them to prompted.load_state_dict(safetensors.torch.load_file({WEIGHTS!r})), and write a "
            "prompt folder with prompted.save_pretrained"
        )
    steps = sorted(folder.glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
    if steps:
        _refuse_trainers(steps[-1])


def refuse_peft(folder: Path) -> None:
    """Raise `SoftPromptError` where a folder is a checkpoint of PEFT's, which only `softprompt.load` reads."""
    if is_peft(folder):
        raise SoftPromptError(
            f"{folder}: a checkpoint of PEFT ({ADAPTER}), which knows of no task: softprompt.load reads its prompt in "
            "Python, and softprompt.save writes it as a prompt folder"
        )


def refuse_several(folder: Path) -> None:
    """Raise `SoftPromptError` where a folder holds a finished run of several tasks, each with a prompt of its own."""
    if (folder / METRICS).is_file() and (folder / TASKS).is_dir():
        raise SoftPromptError(f"{folder}: a run of several tasks: name one of the runs in {folder / TASKS}")


def refuse_run(folder: Path, mend: str = "go on with it with --resume (resume=True), or choose another output") -> None:
    """Raise `SoftPromptError` where a folder holds a run, which nobody asked to go on with."""
    if (folder / RUN).is_file():
        raise SoftPromptError(f"{folder} holds a run already: {mend}")
