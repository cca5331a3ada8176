"""The studio as an application: its pages, what they load, and how faults are told."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from softprompt.errors import SoftPromptError
from softprompt.pages.shell import environment
from softprompt.studio import asking_pages, runs_pages, training_pages
from softprompt.studio.guarding import Guarded
from softprompt.studio.places import NotThere
from softprompt.studio.state import Studio, page, partly

_TYPES = {"studio.css": "text/css", "studio.js": "text/javascript", "htmx.min.js": "text/javascript"}


def application(
    studio: Studio, hosts: Iterable[str] = (), token: str | None = None, *, open_to_others: bool = False
) -> Guarded:
    """The application of a studio.

    Args:
        studio: of a folder; whoever made it ends it.
        hosts: names that this machine goes by, beside its loopback addresses.
        token: that a browser must give as a password, or None.
        open_to_others: it listens beyond loopback.
    """
    made = FastAPI(title="softprompt studio", docs_url=None, redoc_url=None, openapi_url=None)
    made.state.studio = studio
    for router in (runs_pages.router, training_pages.router, asking_pages.router):
        made.include_router(router)
    made.add_api_route("/static/{name}", _static)
    for kind in (SoftPromptError, RequestValidationError, HTTPException):
        made.add_exception_handler(kind, _fault)
    return Guarded(made, hosts, token, open_to_others=open_to_others)


def _static(name: str) -> Response:
    """What pages load, all of it from here."""
    if name not in _TYPES:
        raise HTTPException(404)
    return Response(_content(name), media_type=f"{_TYPES[name]}; charset=utf-8", headers={"Cache-Control": "no-cache"})


@cache
def _content(name: str) -> str:
    if name == "htmx.min.js":
        return files("softprompt.studio").joinpath("static", name).read_text(encoding="utf-8")
    return environment("softprompt.studio").get_template(f"{name}.jinja").render()


def _fault(request: Request, error: Exception) -> Response:
    """A fault is one line, on a page of its own or, for htmx, where the answer would stand."""
    if isinstance(error, HTTPException):
        line, status = str(error.detail), error.status_code
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        line, status = f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}: go back and try again", 422
    else:
        line, status = str(error), 404 if isinstance(error, NotThere) else 400
    return page(request, "_fault" if partly(request) else "fault", {"line": line}, status)
