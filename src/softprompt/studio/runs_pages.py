"""The table of runs, a run's own page with its curve, and the pages that commands write about runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict

from softprompt.errors import SoftPromptError
from softprompt.explain.curves import curves
from softprompt.files.places import RUN
from softprompt.guards.paths import reason
from softprompt.studio.guarding import FOREIGN
from softprompt.studio.jobs import Job
from softprompt.studio.listing import Line
from softprompt.studio.places import NotThere
from softprompt.studio.reports import (
    comparison_key,
    comparison_place,
    comparison_words,
    is_made,
    report_place,
    report_words,
)
from softprompt.studio.state import Here, Studio, address, digest_of, elsewhere, page, partly
from softprompt.studio.view import COLUMNS, GROUPS, NUMBERS, By, Column, View, grouped

router = APIRouter()
Name = Annotated[str, Query()]
Posted = Annotated[str, Form()]
_SAID = 40  # lines of a command that are shown


class TableQuery(BaseModel):
    """What the table is asked for: see `View`; which runs are picked, and what the page shows already."""

    model_config = ConfigDict(allow_inf_nan=False)

    find: str = ""
    sort: Column = "changed"
    down: str = "1"
    group: By = ""
    pick: list[str] = []
    seen: str = ""


@router.get("/")
def table(request: Request, here: Here, asked: Annotated[TableQuery, Query()]) -> Response:
    """The runs of the folder; a page that shows them already gets nothing until one has changed."""
    view = View(asked.find, asked.sort, bool(asked.down), asked.group)
    groups = grouped(here.listing.lines(), view)
    digest = digest_of((view, groups))
    if partly(request) and asked.seen == digest:
        return Response(status_code=204)
    values = {"view": view, "groups": groups, "digest": digest, "picked": set(asked.pick)}
    shown = {"columns": COLUMNS, "numbers": NUMBERS, "by": GROUPS}
    return page(request, "_runs" if partly(request) else "runs", {**values, **shown})


@router.get("/run")
def run(request: Request, here: Here, name: Name) -> Response:
    """A run: what it is, its curve, and what can be done with it."""
    return page(request, "run", _run_values(here, name))


@router.get("/run/now")
def run_now(request: Request, here: Here, name: Name, seen: str = "") -> Response:
    """How a run stands now; one whose report was waited for leads there.

    A page that shows its curve already gets what its command says alone, so that nothing that was opened is closed.
    """
    values = _run_values(here, name)
    job = here.jobs.of(name)
    if job is not None and job.state == "done" and is_made(here, here.root.folder / name):
        return elsewhere(request, address("/report", name=name))
    if seen != values["digest"]:
        return page(request, "_run", values)
    found = page(request, "_status", values)
    found.headers.update({"HX-Retarget": "#status", "HX-Reswap": "outerHTML"})
    return found


def _run_values(studio: Studio, name: str) -> dict[str, object]:
    job = studio.jobs.of(name)
    line = _line(studio, name, job)
    place = studio.root.folder / name
    begun = [shlex.join(("softprompt", "train", "--resume", "--out", str(place)))]
    written = [shlex.join(report_words(studio, place))]
    state = (line.state, line.fault, len(line.history), None if job is None else job.state)
    return {
        "line": line,
        "job": job,
        "said": [] if job is None else [*job.said][-_SAID:],
        "commands": job.shown if job is not None else begun if line.state == "stopped" else written,
        "figures": curves(line.history, line.metric, _rows(line)),
        "made": line.state == "finished" and is_made(studio, place),
        "folder": place,
        "digest": digest_of(state),
    }


def _line(studio: Studio, name: str, job: Job | None) -> Line:
    """The line of a run; of one that was begun here and has written nothing yet, its name."""
    if job is None or (studio.root.folder / name / RUN).is_file():
        return studio.listing.line(name)
    return Line(name, "training" if job.state == "running" else "stopped")


def _rows(line: Line) -> int | None:
    found = line.history[-1].get("rows") if line.history else None
    return found if isinstance(found, int) else None


@router.post("/run/stop")
def stop(request: Request, here: Here, name: Posted) -> Response:
    """Ask what was begun here for a run to write its state and leave."""
    job = here.jobs.of(name)
    if job is not None:
        job.stop()
    return elsewhere(request, address("/run", name=name))


@router.post("/run/resume")
def resume(request: Request, here: Here, name: Posted) -> Response:
    """Go on with a run that stopped, to its report."""
    line = here.listing.line(name)
    if line.state != "stopped":
        raise SoftPromptError(f"{name}: this run is {line.state}: only one that stopped goes on")
    place = here.root.run(name)
    words = ["softprompt", "train", "--resume", "--out", str(place)]
    here.jobs.begin(name, [words, report_words(here, place)])
    return elsewhere(request, address("/run", name=name))


@router.post("/run/report")
def make_report(request: Request, here: Here, name: Posted) -> Response:
    """Write the report of a finished run anew, and wait for it on the run's page."""
    here.jobs.begin(name, [report_words(here, here.root.run(name))])
    return elsewhere(request, address("/run", name=name))


@router.get("/report")
def report(request: Request, here: Here, name: Name) -> Response:
    """A run's report in a frame; where there is none, the run's page, which offers to make it."""
    place = here.root.run(name)
    if not is_made(here, place):
        return elsewhere(request, address("/run", name=name))
    frame, words = address("/report/page", name=name), report_words(here, place)
    return page(request, "frame", {"title": f"Report of {name}", "frame": frame, "name": name, "words": words})


@router.get("/report/page")
def report_page(here: Here, name: Name) -> Response:
    """The file itself."""
    return _foreign(report_place(here, here.root.run(name)))


@router.post("/compare")
def compare(request: Request, here: Here, pick: Annotated[list[str], Form()]) -> Response:
    """Write the comparison of some runs."""
    key = comparison_key(pick)
    words = comparison_words(here, pick)
    known = here.jobs.of(f"comparison {key}")
    if known is None or known.state != "running":
        here.jobs.begin(f"comparison {key}", [words])
    return elsewhere(request, address("/compare", key=key))


@router.get("/compare")
def comparison(request: Request, here: Here, key: str) -> Response:
    """A comparison in a frame, once it is written."""
    job = here.jobs.of(f"comparison {key}")
    if job is None:
        return elsewhere(request, "/")
    if job.state == "done" and comparison_place(here, key).is_file():
        frame = address("/compare/page", key=key)
        if partly(request):
            return elsewhere(request, address("/compare", key=key))
        return page(request, "frame", {"title": "Comparison", "frame": frame, "name": "", "words": job.commands[0]})
    return page(request, "_waiting" if partly(request) else "waiting", {"job": job, "key": key})


@router.get("/compare/page")
def comparison_page(here: Here, key: str) -> Response:
    """The file itself."""
    return _foreign(comparison_place(here, key))


def _foreign(place: Path) -> HTMLResponse:
    """A page that a command wrote, which may do nothing here."""
    try:
        content = place.read_bytes()
    except OSError as error:
        raise NotThere(f"{place}: cannot be read ({reason(error)}): make it on the page of its run") from None
    return HTMLResponse(content, headers={"Content-Security-Policy": FOREIGN})
