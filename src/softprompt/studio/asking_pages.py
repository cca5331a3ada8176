"""The playground's pages: a text, the prompts that are asked, and what they answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from softprompt.errors import SoftPromptError
from softprompt.files.documents import read_document
from softprompt.files.places import META, folder_of
from softprompt.studio.questions import Question
from softprompt.studio.state import Here, Studio, page, partly

router = APIRouter()


class QuestionForm(BaseModel):
    """What a form sends: prompts, the texts of fields as `field-NAME`, and templates as `template-RUN`."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    pick: list[str] = []

    def named(self, kind: str) -> dict[str, str]:
        """The values of one kind, by what they are of."""
        sent = {**(self.model_extra or {})}
        return {
            key.removeprefix(f"{kind}-"): str(value)
            for key, value in sent.items()
            if key.startswith(f"{kind}-") and value
        }


@router.get("/ask")
def ask(request: Request, here: Here, pick: Annotated[list[str], Query()] = []) -> Response:  # noqa: B006
    """The form; without a choice the run that changed last is chosen."""
    able = [line for line in here.listing.lines() if line.answers]
    names = [line.name for line in able]
    last = max(able, key=lambda line: line.changed, default=None)
    chosen = [name for name in pick if name in names] or ([last.name] if last is not None else [])
    given = {key.removeprefix("field-"): value for key, value in request.query_params.items()}
    values = {"able": able, "chosen": chosen, "fields": _fields(here, chosen), "given": given}
    return page(request, "_fields" if partly(request) else "ask", values)


def _fields(studio: Studio, names: list[str]) -> list[str]:
    """The fields that the tasks of some prompts read, each once."""
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys(_reads(studio, name))
    return [*found]


def _reads(studio: Studio, name: str) -> list[str]:
    """The fields of a prompt's task, as its file says; one that cannot be read is told when it is asked."""
    try:
        task = read_document(folder_of(studio.root.run(name)) / META).get("task")
    except SoftPromptError:
        return []
    fields = task.get("fields") if isinstance(task, dict) else None
    return [one for one in fields if isinstance(one, str)] if isinstance(fields, list) else []


@router.post("/ask")
def answer(request: Request, here: Here, asked: Annotated[QuestionForm, Form()]) -> Response:
    """What the chosen prompts answer, side by side."""
    if not asked.pick:
        raise SoftPromptError("no prompt is chosen: choose one at least")
    fields, templates = asked.named("field"), asked.named("template")
    said = here.playground.ask([Question(name, fields, templates.get(name, "")) for name in asked.pick])
    values = {"said": said, "given": fields}
    if partly(request):
        return page(request, "_answers", values)
    able = [line for line in here.listing.lines() if line.answers]
    return page(request, "ask", {**values, "able": able, "chosen": asked.pick, "fields": _fields(here, asked.pick)})


@router.post("/ask/words")
def words(request: Request, here: Here, name: Annotated[str, Form()]) -> Response:
    """The nearest words of a prompt."""
    return page(
        request, "_parts", {"runs": here.playground.words(name), "name": "words", "title": f"Nearest words of {name}"}
    )


@router.post("/ask/anchors")
def anchors(request: Request, here: Here, asked: Annotated[QuestionForm, Form()]) -> Response:
    """Where attention goes in the text, with one prompt."""
    question = Question(asked.pick[0] if asked.pick else "", asked.named("field"))
    runs = here.playground.anchors(question)
    return page(
        request, "_parts", {"runs": runs, "name": "anchors", "title": f"Where attention goes with {question.name}"}
    )
