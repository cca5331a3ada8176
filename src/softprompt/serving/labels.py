"""Routes for prompts that answer with labels, and for what is known of all: classify, embeddings, models."""

from __future__ import annotations

import base64
import struct
from typing import TypeAlias

from fastapi import APIRouter, Request

from softprompt.attached.answering import Text
from softprompt.inference.predict import Answer
from softprompt.serving.about import About
from softprompt.serving.bodies import Classify, Embed
from softprompt.serving.door import notes_of
from softprompt.serving.faults import Refused
from softprompt.serving.options import ServingOptions
from softprompt.serving.service import Service

Json: TypeAlias = dict[str, object]


def label_routes(service: Service) -> APIRouter:
    """`/v1/classify`, `/v1/embeddings` and `/v1/models`."""
    routes = APIRouter()

    @routes.post("/v1/classify")
    async def classify(body: Classify, request: Request) -> Json:
        """The label of each text, with the probability of every label, by one prompt or by several.

        A prompt that writes texts gives its text, a regression its number, and a tagger a tag for each word.
        """
        models = [body.model] if isinstance(body.model, str) else body.model
        texts: list[Text] = [*body.input] if isinstance(body.input, list) else [body.input]
        check_size(service.options, models, texts)
        note(request, models, texts)
        found, tokens = await service.answers(request, [(name, texts) for name in models], "answer")
        places = [(name, index) for name in models for index in range(len(texts))]
        rows = [_label(name, index, one) for (name, index), one in zip(places, found, strict=True)]
        return {"object": "list", "data": rows, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}

    @routes.post("/v1/embeddings")
    async def embeddings(body: Embed, request: Request) -> Json:
        """The pooled states of each text, with a prompt at work: what the prompt's own head reads."""
        texts: list[Text] = [*body.input] if isinstance(body.input, list) else [body.input]
        check_size(service.options, [body.model], texts)
        note(request, [body.model], texts)
        found, tokens = await service.answers(request, [(body.model, texts)], "embedding")
        coded = [_coded(one, body.encoding_format) for one in found if isinstance(one, list)]
        rows = [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(coded)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": rows, "model": body.model, "usage": usage}

    @routes.get("/v1/models")
    async def models() -> Json:
        """The prompts that are served."""
        return {"object": "list", "data": [_model(name, about) for name, about in service.engine.shelf.known]}

    @routes.get("/v1/models/{name}")
    async def model(name: str) -> Json:
        """One of them."""
        return _model(name, service.engine.shelf.about(name))

    return routes


def check_size(options: ServingOptions, models: list[str], texts: list[Text]) -> None:
    """See that a request is not too large.

    Raises:
        Refused: it is.
    """
    if len(models) > options.request_models:
        raise Refused(413, f"model: {len(models)} prompts, at most {options.request_models} in a request")
    if len(models) * len(texts) > options.request_rows:
        raise Refused(413, f"input: {len(models) * len(texts)} rows, at most {options.request_rows} in a request")
    for text in texts:
        own = [text] if isinstance(text, str) else [one for one in text.values() if isinstance(one, str)]
        longest = max(map(len, own), default=0)
        if longest > options.characters:
            raise Refused(413, f"input: a text of {longest} characters, at most {options.characters}: cut it")


def note(request: Request, models: list[str], texts: list[Text]) -> None:
    """Tell the log what a request is about."""
    notes = notes_of(request.scope)
    notes.facts |= {"models": models[:8], "rows": len(models) * len(texts)}
    notes.private += texts


def _label(name: str, index: int, answer: Answer | list[float]) -> Json:
    assert isinstance(answer, Answer)
    found: Json = {"object": "classification", "model": name, "index": index, "label": answer.label}
    found |= {"word": answer.word, "probability": answer.probability, "probabilities": answer.probabilities}
    if answer.tagged:
        found["words"] = [{"word": one.word, "tag": one.tag, "probability": one.probability} for one in answer.tagged]
    return found


def _coded(values: list[float], form: str) -> list[float] | str:
    return values if form == "float" else base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def _model(name: str, about: About) -> Json:
    known = {"method": about.method, "task": about.task, "kind": about.kind, "fields": about.fields}
    served = [
        *(["completions"] if about.writes else ["classify", "completions"]),
        *(["embeddings"] if about.embeds else []),
    ]
    own: Json = {**known, "labels": about.labels[:1000], "served": served}
    return {"id": name, "object": "model", "created": about.changed, "owned_by": "softprompt", "softprompt": own}
