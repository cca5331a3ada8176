"""Routes for texts, as OpenAI's API has them: completions and chats, whole or as they are written.

`model` names a prompt. One with a task puts the text into the task's template, as in training; one that answers with
labels gives the label's word. A prompt without a task goes on with the text as it stands, and with a chat in the form
that the tokenizer has for chats.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from jinja2 import TemplateError

from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.guards.tokenizing import token_ids
from softprompt.inference.predict import Answer
from softprompt.serving.batcher import LATE, Closing
from softprompt.serving.begin_writing import Context
from softprompt.serving.bodies import Chat, Completion, Write
from softprompt.serving.door import notes_of
from softprompt.serving.faults import Refused, body_of
from softprompt.serving.jobs import Written
from softprompt.serving.labels import Json, check_size, note
from softprompt.serving.service import Service
from softprompt.serving.writing import Wishes, Writing


@dataclass(frozen=True)
class Form:
    """How answers of a route look.

    Attributes:
        kind: a chat or a completion.
        id: of the answer.
        model: the prompt.
        created: when, in seconds since 1970.
    """

    kind: Literal["chat", "text"]
    id: str
    model: str
    created: int

    def whole(self, texts: Sequence[tuple[str, str]], read: int, written: int) -> Json:
        """The answer of some texts, each with why it ended, and of the tokens read and written."""
        choices = [self._choice(index, text, ended) for index, (text, ended) in enumerate(texts)]
        name = "chat.completion" if self.kind == "chat" else "text_completion"
        return {**self._head(name), "choices": choices, "usage": _usage(read, written)}

    def chunk(self, index: int, text: str, ended: str | None, *, first: bool = False) -> Json:
        """A part of a text."""
        if self.kind == "text":
            choice: Json = {"index": index, "text": text, "finish_reason": ended, "logprobs": None}
            return {**self._head("text_completion"), "choices": [choice]}
        delta = {**({"role": "assistant"} if first else {}), **({"content": text} if text or first else {})}
        choice = {"index": index, "delta": delta, "finish_reason": ended, "logprobs": None}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage(self, read: int, written: int) -> Json:
        """The last part, with the tokens."""
        name = "chat.completion.chunk" if self.kind == "chat" else "text_completion"
        return {**self._head(name), "choices": [], "usage": _usage(read, written)}

    def _head(self, name: str) -> Json:
        return {"id": self.id, "object": name, "created": self.created, "model": self.model}

    def _choice(self, index: int, text: str, ended: str) -> Json:
        said: Json = {"text": text} if self.kind == "text" else {"message": {"role": "assistant", "content": text}}
        return {"index": index, **said, "finish_reason": ended, "logprobs": None}


def text_routes(service: Service) -> APIRouter:
    """`/v1/completions` and `/v1/chat/completions`."""
    routes = APIRouter()

    @routes.post("/v1/completions")
    async def completions(body: Completion, request: Request) -> Response:
        """What a prompt answers to a text, or writes behind it; with `stream` as server-sent events."""
        texts = body.prompt if isinstance(body.prompt, list) else [body.prompt]
        check_size(service.options, [body.model], [*texts])
        note(request, [body.model], [*texts])
        return await _written(service, body, request, [*texts], body.max_tokens, "text")

    @routes.post("/v1/chat/completions")
    async def chat(body: Chat, request: Request) -> Response:
        """The same in the form of a chat, whose one message is the task's text."""
        check_size(service.options, [body.model], ["".join(one.text for one in body.messages)])
        note(request, [body.model], ["\n".join(one.text for one in body.messages)])
        asked = await service.encode(lambda: _said(service, body))
        return await _written(service, body, request, [asked], body.max_completion_tokens or body.max_tokens, "chat")

    return routes


def _said(service: Service, body: Chat) -> Context:
    """What a chat asks a prompt; tokenizers serve one thread at a time, so that of texts is where it is asked.

    Raises:
        Refused: the prompt answers one text, or the tokenizer's form has no place for these messages.
    """
    tokenizer, about = service.engine.backbone.tokenizer, service.engine.shelf.about(body.model)
    if about.task is None and tokenizer.chat_template is not None:
        said = [{"role": one.role, "content": one.text} for one in body.messages]
        try:
            text = tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
        except TemplateError as error:
            raise Refused(400, f"messages: the tokenizer's form for chats does not take them ({error})") from None
        return tuple(token_ids(tokenizer, str(text)))
    if [one.role for one in body.messages] != ["user"]:
        raise Refused(400, f"messages: model {body.model!r} answers one text: send one message, of role user")
    return body.messages[0].text


async def _written(
    service: Service,
    body: Write,
    request: Request,
    asked: list[Context],
    most: int | None,
    kind: Literal["chat", "text"],
) -> Response:
    if most is not None and most > service.options.new_tokens:
        raise Refused(400, f"max_tokens is {most}, at most {service.options.new_tokens} are written: lower it")
    prefix = "chatcmpl" if kind == "chat" else "cmpl"
    form = Form(kind, f"{prefix}-{notes_of(request.scope).id}", body.model, int(time.time()))
    usage = body.stream_options is not None and body.stream_options.include_usage
    if not service.engine.writes(body.model):
        plain = [one for one in asked if isinstance(one, str)]
        found, read = await service.answers(request, [(body.model, plain)], "answer")
        words = [(one.word, "stop") for one in found if isinstance(one, Answer)]
        if not body.stream:
            return JSONResponse(form.whole(words, read, len(words)))
        parts = [form.chunk(index, word, ended, first=True) for index, (word, ended) in enumerate(words)]
        return _stream(_told([*parts, *([form.usage(read, len(words))] if usage else [])]))
    writings = await _begun(service, body, asked, most)
    if body.stream:
        return _stream(_as_written(service, form, writings, usage=usage))
    done = await service.finished(request, service.begin(writings))
    texts = [(one.text, one.ended or "stop") for one in done]
    return JSONResponse(form.whole(texts, sum(len(one.ids) for one in done), sum(len(one.made) for one in done)))


async def _begun(service: Service, body: Write, asked: Sequence[Context], most: int | None) -> list[Writing]:
    """The texts that a request asks for, which wait for nothing yet."""
    stop = () if body.stop is None else (body.stop,) if isinstance(body.stop, str) else tuple(body.stop)
    wishes = Wishes(0, body.temperature or 0.0, 1.0 if body.top_p is None else body.top_p, body.seed, stop)
    found: list[Writing] = []
    try:
        for text in asked:
            found.append(await service.writing(body.model, text, wishes, most))
            if found[-1].cost > service.options.writing_tokens:
                raise Refused(413, f"a text takes {found[-1].cost} columns, at most {service.options.writing_tokens}")
    except BaseException:
        service.engine.forget(found)
        raise
    return found


def _as_written(service: Service, form: Form, writings: list[Writing], *, usage: bool) -> AsyncIterator[Json]:
    """The parts of some texts, as they come; the texts wait from now on, so that a full queue is told by a status."""
    loop, news = asyncio.get_running_loop(), asyncio.Queue[tuple[int, str | None]]()

    def tell(index: int, text: str | None) -> None:
        loop.call_soon_threadsafe(news.put_nowait, (index, text))

    def finish(index: int, _: object) -> None:
        tell(index, None)

    jobs = service.begin(writings, tell)
    for index, job in enumerate(jobs):
        job.done.add_done_callback(partial(finish, index))
    return _parts(service, form, jobs, news, usage=usage)


async def _parts(
    service: Service, form: Form, jobs: list[Written], news: asyncio.Queue[tuple[int, str | None]], *, usage: bool
) -> AsyncIterator[Json]:
    """The parts of some texts that wait: of each what is told of it, and at last None."""
    try:
        begun: set[int] = set()
        left = len(jobs)
        while left:
            index, text = await news.get()
            if text is None:
                left -= 1
                if jobs[index].done.cancelled():  # by a server that stops: no other drops what is shown still
                    raise Closing(LATE)
                ended = jobs[index].done.result().ended
                yield form.chunk(index, "", ended, first=index not in begun)
            else:
                yield form.chunk(index, text, None, first=index not in begun)
            begun.add(index)
        if usage:
            done = [job.writing for job in jobs]
            yield form.usage(sum(len(one.ids) for one in done), sum(len(one.made) for one in done))
    finally:
        service.cancel(jobs)


async def _told(parts: Sequence[Json]) -> AsyncIterator[Json]:
    for part in parts:
        yield part


def _stream(parts: AsyncIterator[Json]) -> StreamingResponse:
    """Server-sent events; a fault that comes after the head is an event of its own, and the last one."""

    async def lines() -> AsyncIterator[str]:
        try:
            async for part in parts:
                yield _event(part)
        except Exception as error:
            yield _event(body_of(error))
            if not isinstance(error, SoftPromptError):
                raise
        else:
            yield "data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _event(part: Json) -> str:
    return f"data: {strict_json.dumps(part, indent=None, ascii_only=True)}\n\n"


def _usage(read: int, written: int) -> Json:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
