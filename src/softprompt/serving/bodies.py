"""What requests hold: each field with its limits, and no field besides those that are served.

Names and meanings of `/v1/completions`, `/v1/chat/completions` and `/v1/embeddings` are those of OpenAI's API
(<https://platform.openai.com/docs/api-reference>), as far as they are served; `temperature` is 0 where it is left out,
which is how prompts are trained to answer.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Name = Annotated[str, Field(min_length=1, max_length=64)]
Fields: TypeAlias = dict[Annotated[str, Field(max_length=200)], JsonValue]
_ONE = Literal[1]


class Body(BaseModel):
    """A body without unknown fields, whose values are of the types that JSON has."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Classify(Body):
    """`POST /v1/classify`.

    Attributes:
        model: the prompt, or several: each answers every input.
        input: a text, or fields by name, or a list of these.
    """

    model: Name | Annotated[list[Name], Field(min_length=1)]
    input: str | Fields | Annotated[list[str | Fields], Field(min_length=1)]


class StreamOptions(Body):
    """What a stream tells besides.

    Attributes:
        include_usage: a last chunk with the tokens.
    """

    include_usage: bool = False


class Write(Body):
    """How a text is written.

    Attributes:
        model: the prompt.
        max_tokens: of the answer, at most.
        temperature: 0 takes the likeliest token, which is the default here.
        top_p: of nucleus sampling.
        seed: of the draws.
        stop: texts before which it ends.
        stream: send it as it is written.
        stream_options: see there.
        n: one answer each.
        user: is passed over.
    """

    model: Name
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    stop: str | Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=4)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: _ONE | None = None
    user: Annotated[str, Field(max_length=200)] | None = None


class Completion(Write):
    """`POST /v1/completions`.

    Attributes:
        prompt: a text, or several: of a task with a template its field; else what the model goes on with.
    """

    prompt: str | Annotated[list[str], Field(min_length=1)]


class Part(Body):
    """A part of a message."""

    type: Literal["text"]
    text: str


class Message(Body):
    """A message of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Part], Field(min_length=1)]

    @property
    def text(self) -> str:
        """What it says."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class Chat(Write):
    """`POST /v1/chat/completions`.

    Attributes:
        messages: for a prompt with a task one message of a user, which is the task's text.
        max_completion_tokens: as `max_tokens`.
    """

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None


class Embed(Body):
    """`POST /v1/embeddings`.

    Attributes:
        model: a prompt that a head reads.
        input: a text, or several.
        encoding_format: numbers, or base64 of little-endian 32-bit floats.
        user: is passed over.
    """

    model: Name
    input: str | Annotated[list[str], Field(min_length=1)]
    encoding_format: Literal["float", "base64"] = "float"
    user: Annotated[str, Field(max_length=200)] | None = None
