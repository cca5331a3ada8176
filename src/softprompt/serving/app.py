"""The application: what a server of prompts answers, over whichever server of ASGI runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from softprompt.serving.described import described
from softprompt.serving.door import Door
from softprompt.serving.engine import Engine
from softprompt.serving.faults import answer_faults
from softprompt.serving.labels import label_routes
from softprompt.serving.options import ServingOptions
from softprompt.serving.playground import playground
from softprompt.serving.service import Gone, Service
from softprompt.serving.texts import text_routes


def create_app(
    engine: Engine,
    options: ServingOptions | None = None,
    *,
    token: str | None = None,
    own_hosts: bool = False,
    log_texts: bool = False,
) -> FastAPI:
    """An application that serves the prompts of an engine, which it closes at its end.

    Args:
        engine: the prompts over their model.
        options: limits and times.
        token: that requests must bring.
        own_hosts: refuse requests that call this machine by another name than its own, as on loopback without a token.
        log_texts: log the texts of requests, which are not logged otherwise.
    """
    service = Service(engine, options or ServingOptions())

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(title="softprompt", version=version("softprompt"), lifespan=living, docs_url=None, redoc_url=None)
    app.state.service = service
    answer_faults(app)

    @app.exception_handler(Gone)
    async def _nobody(_: Request, __: Gone) -> Response:
        return Response(status_code=499)

    app.include_router(label_routes(service))
    app.include_router(text_routes(service))
    _look_after(app, service)
    app.add_middleware(
        Door,
        options=service.options,
        token=token,
        own_hosts=own_hosts,
        log_texts=log_texts,
        telemetry=service.telemetry,
        accepted=service.accepted,
    )
    return app


def _look_after(app: FastAPI, service: Service) -> None:
    """Routes for whoever runs the server, and pages for whoever uses it."""

    @app.get("/healthz")
    async def healthz() -> PlainTextResponse:
        """Whether the process answers."""
        return PlainTextResponse("ok\n")

    @app.get("/readyz")
    async def readyz() -> PlainTextResponse:
        """Whether requests are taken on: 200, or 503 before the start's end and while it stops."""
        return PlainTextResponse("ready\n" if service.ready else "not ready\n", 200 if service.ready else 503)

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        """Counts, as Prometheus reads them."""
        return PlainTextResponse(service.counted(), media_type="text/plain; version=0.0.4")

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(playground())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(described(app.openapi()))

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> JSONResponse:
        return JSONResponse(None, 404)
