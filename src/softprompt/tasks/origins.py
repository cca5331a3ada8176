"""Where a task's rows can be had when its user gives none."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

SplitName: TypeAlias = Literal["train", "validation", "test"]
# How nested records become rows; each name has its function in `softprompt.tasks.data.layouts`.
RecordLayout: TypeAlias = Literal[
    "table",
    "copa",
    "multirc",
    "record",
    "commonsense_qa",
    "wsc",
    "wsc_phrase",
    "agnews",
    "squad",
    "conll",
    "mrqa",
    "e2e",
    "webnlg",
    "dart",
]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class Hub(BaseModel):
    """Where the Hugging Face hub holds a task, for `datasets.load_dataset`.

    Attributes:
        path: the data set's repository.
        name: its configuration.
        revision: its revision.
        splits: the hub's split for each of ours, where the names differ.
        columns: the hub's column for each of our columns, where the names differ.
        labels: our label value for each of the hub's, where they differ from the published files'.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    path: str
    name: str | None = None
    revision: str | None = None
    splits: dict[SplitName, str] = {}
    columns: dict[str, str] = {}
    labels: dict[str, str] = {}


class Package(BaseModel):
    """A Python package that holds a task's rows; it is found, not imported.

    Attributes:
        name: what `pip install` takes.
        module: the folder that it installs.
        file: the data file inside.
        where: column values that a row must have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    module: str
    file: str
    where: dict[str, str] = {}
