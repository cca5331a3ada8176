"""The page of the routes: made of the application's own schema, and fetching nothing, which FastAPI's pages do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from softprompt.pages.parts import Code, Section, Table
from softprompt.pages.shell import page_of

_INTRODUCTION = (
    "Every prompt of the folder answers over one frozen model; `model` names the prompt.",
    "Texts and chats are asked for as of OpenAI's API, so its clients work: give them this server's address and /v1.",
    "The schema of all this as JSON is at /openapi.json.",
)


def described(schema: Mapping[str, object]) -> str:
    """The page.

    Args:
        schema: of OpenAPI.
    """
    paths = cast("Mapping[str, Mapping[str, Mapping[str, object]]]", schema["paths"])
    sections = [
        Section(f"{verb.upper()} {path}", _lines(operation), _fields(operation, schema))
        for path, verbs in paths.items()
        for verb, operation in verbs.items()
    ]
    example = Code("From a shell", ('curl http://localhost:8000/v1/classify -H "Content-Type: application/json" \\',
                                    """    -d '{"model": "NAME", "input": ["a text", "another"]}'"""))  # fmt: skip
    return page_of("Routes", _INTRODUCTION, [example], sections)


def _lines(operation: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(" ".join(one.split()) for one in str(operation.get("description", "")).split("\n\n") if one.strip())


def _fields(operation: Mapping[str, object], schema: Mapping[str, object]) -> tuple[Table, ...]:
    """The fields of a body."""
    name = _reference(operation.get("requestBody"))
    components = cast("Mapping[str, Mapping[str, Mapping[str, object]]]", schema.get("components", {}))
    body = components.get("schemas", {}).get(name or "")
    if body is None:
        return ()
    properties = cast("Mapping[str, Mapping[str, object]]", body["properties"])
    needed = cast("list[str]", body.get("required", []))
    plain = {field: "needed" if field in needed else _plain(form.get("default")) for field, form in properties.items()}
    rows = tuple((field, _kind(form), plain[field]) for field, form in properties.items())
    return (Table("Fields of the body", ("field", "what", "default"), rows, (str(body.get("description", "")),)),)


def _reference(found: object) -> str | None:
    """The name of the first schema that something refers to."""
    if isinstance(found, Mapping):
        if isinstance(found.get("$ref"), str):
            return str(found["$ref"]).rsplit("/", 1)[-1]
        return next((name for one in found.values() if (name := _reference(one)) is not None), None)
    return None


def _kind(form: Mapping[str, object]) -> str:
    several = cast("list[Mapping[str, object]]", form.get("anyOf", [form]))
    return " or ".join(dict.fromkeys(_one_kind(one) for one in several))


def _one_kind(form: Mapping[str, object]) -> str:
    if "enum" in form or "const" in form:
        return " or ".join(str(one) for one in cast("list[object]", form.get("enum", [form.get("const")])))
    if form.get("type") == "array":
        return f"list of {_kind(cast('Mapping[str, object]', form['items']))}"
    return _reference(form) or str(form.get("type", "anything"))


def _plain(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
