"""From a table that is dropped in to a training: its first rows, what is guessed, how long it takes, and the begin."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from softprompt.errors import SoftPromptError
from softprompt.studio import backbones
from softprompt.studio.drafts import ENDINGS, Draft, first_rows, guessed, keep, kept, table_of
from softprompt.studio.places import plain_name
from softprompt.studio.reports import report_words
from softprompt.studio.state import Here, Studio, address, elsewhere, page, partly

router = APIRouter()


class DraftForm(BaseModel):
    """The fields of the form, as they are sent; empty where something is left open.

    Attributes:
        table: one that was dropped in.
        text: the columns of the texts.
        label: that of the labels.
        backbone: its name.
        method: its name.
        epochs: passes over the rows.
        out: what the run is to be called.
        guess: the columns that were guessed when the form was made, so that the page can say what is no more a guess.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    table: str = ""
    text: list[str] = []
    label: str = ""
    backbone: str = ""
    method: str = ""
    epochs: str = ""
    out: str = ""
    guess: str = ""

    def draft(self, studio: Studio) -> Draft:
        """What is to be trained.

        Raises:
            SoftPromptError: no such table, no backbone, or a number that is none.
        """
        data = table_of(studio.root, self.table)
        backbone = self.backbone.strip() or next(iter(backbones.here()), "")
        if not backbone:
            raise SoftPromptError("backbone: none is installed here: give a folder, a .gguf file or a name of the hub")
        passes = self.epochs.strip()
        if passes and not (passes.isdecimal() and 0 < int(passes) < 10**6):
            raise SoftPromptError(f"passes {passes!r}: give a whole number, 1 or more, or leave it out")
        out = studio.root.folder / studio.root.free(self.out.strip() or data.stem)
        epochs = int(passes) if passes else None
        return Draft(data, out, backbone, self.method.strip(), tuple(self.text), self.label, epochs)


@router.get("/train")
def begin(request: Request, here: Here, asked: Annotated[DraftForm, Query()]) -> Response:
    """Where a table is dropped in and, once one is chosen, what would be trained from it."""
    if not asked.table:
        return page(request, "train", {"tables": kept(here.root), "endings": ENDINGS})
    return page(request, "_plan" if partly(request) else "draft", _draft_values(here, asked))


def _draft_values(studio: Studio, asked: DraftForm) -> dict[str, object]:
    """What a page shows of a draft; a table whose columns cannot be told apart is shown with the reason."""
    draft = asked.draft(studio)
    try:
        found, fault = guessed(draft), ""
        draft = replace(draft, text=found.text, label=found.label)  # what the form sends where nothing else is chosen
    except SoftPromptError as error:
        found, fault = None, str(error)
    return {
        "asked": asked,
        "draft": draft,
        "first": first_rows(draft.data),
        "found": found,
        "fault": fault,
        "backbones": _backbones(studio),
        "methods": studio.methods,
    }


def _backbones(studio: Studio) -> list[str]:
    """Names that are offered: what is installed, and what runs of the folder were made with."""
    used = (line.backbone for line in studio.listing.lines() if line.backbone and not line.fault)
    return list(dict.fromkeys((*backbones.here(), *used)))


@router.post("/train/table")
def drop(request: Request, here: Here, file: Annotated[UploadFile, File()]) -> Response:
    """Keep a table beside the runs, and show it."""
    path = keep(here.root, file.filename or "table", file.file.read())
    return elsewhere(request, address("/train", table=path.name))


@router.post("/train/estimate")
def estimate(request: Request, here: Here, asked: Annotated[DraftForm, Form()]) -> Response:
    """Let it be measured how long a training will take."""
    key = here.measuring.want(asked.draft(here))
    return page(request, "_estimate", {"found": here.measuring.of(key), "key": key})


@router.get("/train/estimate")
def estimated(request: Request, here: Here, key: str) -> Response:
    """What was measured of a draft; None while it is not."""
    return page(request, "_estimate", {"found": here.measuring.of(key), "key": key})


@router.post("/train")
def train(request: Request, here: Here, asked: Annotated[DraftForm, Form()]) -> Response:
    """Begin a training, to its report; its page shows the curve."""
    draft = asked.draft(here)
    guessed(draft)  # a fault in the table is told here, and not by the run
    name = plain_name(draft.out.name)
    here.jobs.begin(name, [draft.command(), report_words(here, draft.out)])
    return elsewhere(request, address("/run", name=name))
