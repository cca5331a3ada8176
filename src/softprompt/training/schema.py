"""The published schema of `metrics.json`: JSON Schema 2020-12, made from the model that writes the file.

It stands beside this module as `metrics.schema.json`, so that a program in any language can read what a run measured
without this library. `schema_version` grows when a file no longer follows the schema as it was published before: new
fields of the file itself leave it, and whatever else changes does not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypedDict, cast

from pydantic import JsonValue
from pydantic.json_schema import GenerateJsonSchema

from softprompt.files import strict_json
from softprompt.training.finished import SCHEMA, RunMetrics

PUBLISHED = Path(__file__).parent / "metrics.schema.json"
# What a run has no reason to tell each time; all else stands in every file of this version.
_AT_TIMES = {"breakdown", "preset", "diverged"}
_ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n        .+)*)", re.M)


class _Plain(GenerateJsonSchema):
    """Without titles that only repeat the names of fields."""

    def field_title_should_be_set(self, schema: object) -> bool:
        """No field has one."""
        return False


class _Part(TypedDict):
    """What is looked at of the schema of a class."""

    description: str
    properties: dict[str, dict[str, JsonValue]]


def metrics_schema() -> dict[str, JsonValue]:
    """The schema of the `metrics.json` of a run of one task.

    Example:
        >>> from softprompt.training.schema import metrics_schema
        >>> metrics_schema()["properties"]["metric"]
        {'type': 'string', 'description': "the task's main metric."}
    """
    made = RunMetrics.model_json_schema(schema_generator=_Plain)
    parts = [made, *made["$defs"].values()]
    for part in parts:
        if "properties" in part:
            _describe(cast("_Part", part))
    fields = made["properties"]
    fields["schema_version"] = {"const": SCHEMA, "description": fields["schema_version"]["description"]}
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:softprompt:metrics:{SCHEMA}",
        "title": "metrics.json of a run of softprompt",
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if name not in _AT_TIMES],
        # Until version 0.3 what the course reports stands beside the run's own fields, too.
        "additionalProperties": {"description": "what stands under `course`, where version 0.1 wrote it."},
        "$defs": made["$defs"],
    }


def schema_text() -> str:
    """The schema as its file holds it."""
    return strict_json.dumps(metrics_schema()) + "\n"


def _describe(part: _Part) -> None:
    """Give each field the words that its class's docstring has for it, in the terms of JSON."""
    part["description"], _, attributes = part["description"].partition("\n\nAttributes:\n")
    for name, words in _ATTRIBUTE.findall(attributes):
        part["properties"][name]["description"] = " ".join(words.split()).replace("None", "null")
    for field in part["properties"].values():
        field.pop("default", None)  # every field is written, or has no default
