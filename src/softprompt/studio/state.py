"""What a studio holds while it runs, and how its pages are made."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup

from softprompt.pages.shell import environment
from softprompt.progress import duration
from softprompt.studio.jobs import Jobs
from softprompt.studio.listing import Listing
from softprompt.studio.measuring import Measuring
from softprompt.studio.places import Root

if TYPE_CHECKING:
    from softprompt.studio.asking import Playground


class Studio:
    """A folder of runs, what was begun in it, and what is loaded.

    Args:
        folder: of the runs.
        methods: names that are offered for a training.

    Attributes:
        root: the folder.
        listing: its runs.
        jobs: the work that was begun here.
        measuring: how long drafts of trainings take.
        methods: as given.
        scratch: a folder for pages that have no place beside a run; it goes with the studio.
    """

    def __init__(self, folder: Path, methods: tuple[str, ...] = ()) -> None:
        """See the class."""
        self.root, self.methods, self.jobs = Root(folder), methods, Jobs()
        self.listing, self.measuring = Listing(self.root), Measuring(self.jobs)
        self._scratch = tempfile.TemporaryDirectory(prefix="softprompt-studio-")
        self.scratch = Path(self._scratch.name)
        self._playground: Playground | None = None

    @property
    def playground(self) -> Playground:
        """Where prompts are asked; the first use imports torch."""
        if self._playground is None:
            from softprompt.studio.asking import Playground

            self._playground = Playground(self.root)
        return self._playground

    def end(self) -> list[str]:
        """Stop what was begun here, and take the scratch away; what was at work."""
        names = self.jobs.end()
        self._scratch.cleanup()
        return names


def studio_of(request: Request) -> Studio:
    """The studio that a request is for."""
    return cast("Studio", request.app.state.studio)


Here = Annotated[Studio, Depends(studio_of)]


def page(request: Request, template: str, values: Mapping[str, object], status: int = 200) -> HTMLResponse:
    """A page of a template in `templates`, or a part of one.

    Args:
        request: that it answers.
        template: its name, without endings.
        values: of the template's places.
        status: of HTTP.
    """
    studio = studio_of(request)
    source = environment("softprompt.studio").get_template(f"{template}.html.jinja")
    text = source.render({"studio": studio, "here": request.url.path, "address": address, **_WORDS, **values})
    return HTMLResponse(text, status, headers={"Vary": "HX-Request"})


def address(path: str, **query: str) -> str:
    """An address of the studio; empty where a name is no Unicode, so that nothing can ask for it.

    Example:
        >>> from softprompt.studio.state import address
        >>> address("/run", name="table/cells/a b")
        '/run?name=table%2Fcells%2Fa+b'
    """
    try:
        return f"{path}?{urlencode(query)}" if query else path
    except UnicodeEncodeError:
        return ""


def digest_of(value: object) -> str:
    """What changes where a page would show something else."""
    return hashlib.blake2b(repr(value).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def partly(request: Request) -> bool:
    """Whether a part of a page is asked for, which htmx puts into the page that is open."""
    return request.headers.get("hx-request") == "true"


def elsewhere(request: Request, place: str) -> Response:
    """Send the browser to another page of the studio."""
    if partly(request):
        return Response(status_code=204, headers={"HX-Redirect": place})
    return RedirectResponse(place, 303)


def _bar(share: float) -> Markup:
    """How far a bar of an answer reaches, as a style."""
    return Markup(f"width:{100 * min(max(share, 0.0), 1.0):.1f}%")  # noqa: S704  (a number of ours)


def _when(seconds: float) -> str:
    """A moment as a table shows it: the time of today, or the day."""
    moment, now = datetime.fromtimestamp(seconds), datetime.now()
    return f"{moment:%H:%M:%S}" if moment.date() == now.date() else f"{moment:%Y-%m-%d}"


_WORDS: dict[str, Callable[..., object]] = {
    "duration": duration,
    "bar": _bar,
    "when": _when,
    "command": shlex.join,
}
