"""Faults as answers: one line in the form that OpenAI's API has, and nothing of the server's inside."""

from __future__ import annotations

import math
import re

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from softprompt.errors import SoftPromptError, shortened, shown
from softprompt.serving.batcher import LATE, Closing, Full
from softprompt.serving.shelf import NotServed

_KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
_LONGEST = 500
_UNEXPECTED = "the server failed at this request: its log has more, under the request's id"


class Refused(SoftPromptError):
    """A request that is refused with a status of its own.

    Attributes:
        status: of the answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def answer_to(status: int, message: str, param: str | None = None, after: float | None = None) -> JSONResponse:
    """An error as an answer."""
    headers = {} if after is None else {"Retry-After": str(math.ceil(after))}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(_body(status, message, param), status, headers)


def cut_off() -> JSONResponse:
    """The answer to a request for which a server that stops has no more time."""
    error = Closing(LATE)
    return answer_to(503, str(error), after=error.after)


def body_of(error: Exception) -> dict[str, object]:
    """What is told of a fault that comes once an answer has begun; of one that is no user's nothing but that."""
    if isinstance(error, Closing):
        return _body(503, str(error))
    return _body(400, str(error)) if isinstance(error, SoftPromptError) else _body(500, _UNEXPECTED)


def _body(status: int, message: str, param: str | None = None) -> dict[str, object]:
    kind = _KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": shortened(shown(message), _LONGEST), "type": kind, "param": param, "code": None}}


def answer_faults(app: FastAPI) -> None:
    """Let an application answer every fault so."""

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        places = [str(one) for one in first["loc"] if one != "body"]
        # A union's branches and a model's classes are names of ours, not the user's.
        place = ".".join(one for one in places if re.fullmatch(r"[a-z_0-9]+", one))[:200]
        return answer_to(400, f"{place or 'the body'}: {first['msg']}", place or None)

    @app.exception_handler(HTTPException)
    async def _refused(_: Request, error: HTTPException) -> JSONResponse:
        return answer_to(error.status_code, str(error.detail))

    @app.exception_handler(SoftPromptError)
    async def _fault(_: Request, error: SoftPromptError) -> JSONResponse:
        if isinstance(error, Full):
            return answer_to(429, str(error), after=error.after)
        if isinstance(error, Closing):
            return answer_to(503, str(error), after=error.after)
        if isinstance(error, NotServed):
            return answer_to(404, str(error), "model")
        return answer_to(error.status if isinstance(error, Refused) else 400, str(error))

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, error: Exception) -> JSONResponse:
        return answer_to(500, _UNEXPECTED)
