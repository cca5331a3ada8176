"""A task's template as a chat template, the form in which tokenizers of transformers and of llama.cpp keep one.

What the model reads is one string in which each virtual token, and each special token that the tokenizer would put
around a text, stands by its name: such a string is tokenised with nothing added. A task of one field reads it from
`messages[-1]["content"]`, one of several from entries of the fields' own names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.storage.prompt import Prompt
from softprompt.tasks.text.encoding import RowEncoder, affixes
from softprompt.tasks.text.template import Field, Literal, Mask, Part, PromptSlot, Sep

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = "a moving film, w20 w41"


def template_refusal(prompt: Prompt) -> str | None:
    """Why a prompt's template cannot be written so."""
    encoder = getattr(prompt.readout, "row_encoder", None)
    if prompt.producer.footprint.pool or (prompt.readout is not None and type(encoder) is not RowEncoder):
        return "its rows are no single text of one template"
    if not isinstance(encoder, RowEncoder):
        return None
    forms = {part.form for part in encoder.template.parts if isinstance(part, Field)}
    if encoder.template.has_choice or not forms <= {"", "stem"}:
        return "its template has a place that a chat template has not"
    return None


def chat_template(prompt: Prompt, names: Sequence[str]) -> str:
    """The template of a prompt that `template_refusal` lets pass; one without a task reads the text alone.

    Args:
        prompt: with or without a task.
        names: of its virtual tokens.
    """
    encoder = getattr(prompt.readout, "row_encoder", None)
    own = encoder if isinstance(encoder, RowEncoder) else None
    parts, fields = (own.template.parts, own.template.fields) if own else ((Field("content"),), ("content",))
    before, after = _around(prompt, own is None or own.closing)
    if own is None or not own.template.slots:
        placement = prompt.producer.placement
        place = 1 if placement == "after_bos" else 0
        before = before if placement == "end" else [*before[:place], *names, *before[place:]]
        after = [*after, *names] if placement == "end" else after
    inner = "".join(_shown(prompt, parts, "content" if len(fields) == 1 else None, iter(names)))
    return _text("".join(before)) + inner + _text("".join(after))


def check_template(
    name: str, prompt: Prompt, tokenizer: PreTrainedTokenizerBase, template: str, ids: Sequence[int]
) -> None:
    """Make sure that a chat template gives the ids that the task's own template gives.

    Args:
        name: of the prompt, for the message.
        prompt: with its task.
        tokenizer: that will read the template.
        template: what `chat_template` gave.
        ids: of the virtual tokens that stand in it.

    Raises:
        SoftPromptError: it does not: the tokenizer reads a text in another way once special tokens stand around it.
    """
    encoder = getattr(prompt.readout, "row_encoder", None)
    if prompt.task is None or not isinstance(encoder, RowEncoder):
        return
    texts = dict.fromkeys(prompt.task.fields, _PROBE)
    read = encoder.encode(prompt.task.rows_of([texts if len(texts) > 1 else _PROBE])[0]).ids
    expected = [ids[-1 - one] if one < 0 else one for one in read]
    if not any(one < 0 for one in read):
        place = {"front": 0, "after_bos": 1, "end": len(expected)}[prompt.producer.placement]
        expected[place:place] = ids
    message = {"role": "user", "content": _PROBE, **texts}
    found = tokenizer.apply_chat_template([message], chat_template=template, return_dict=False)
    if list(found) != expected:
        raise SoftPromptError(
            f"prompt {name!r}: the tokenizer reads its template otherwise once special tokens stand in it: use another "
            "template, or softprompt serve"
        )


def _around(prompt: Prompt, closing: bool) -> tuple[list[str], list[str]]:
    """The names of the special tokens in front of a text and behind it."""
    before, after = affixes(prompt.tokenizer)
    names = [str(prompt.tokenizer.convert_ids_to_tokens(one)) for one in (*before, *(after if closing else ()))]
    return names[: len(before)], names[len(before) :]


def _shown(prompt: Prompt, parts: Sequence[Part], single: str | None, names: Iterator[str]) -> Iterator[str]:
    encoder = getattr(prompt.readout, "row_encoder", None)
    masked = isinstance(encoder, RowEncoder) and encoder.mask_id is not None
    for part, following in pairwise((*parts, None)):
        if isinstance(part, Field):
            stem = '.rstrip().rstrip(".?!").rstrip()' if part.form == "stem" else ""
            yield f"{{{{ messages[-1][{strict_json.dumps(single or part.name)}]{stem} }}}}"
        elif isinstance(part, Literal):
            # One space in front of the answer belongs to it.
            yield _text(part.text.removesuffix(" ") if isinstance(following, Mask) else part.text)
        elif isinstance(part, PromptSlot):
            count = prompt.producer.count if part.count is None else part.count
            yield _text("".join(next(names) for _ in range(count)))
        elif isinstance(part, Sep):
            yield _text(prompt.tokenizer.sep_token or "\n")
        elif masked:
            yield _text(prompt.tokenizer.mask_token or "")


def _text(text: str) -> str:
    """Fixed text: a literal of Jinja's is one of JSON's."""
    return f"{{{{ {strict_json.dumps(text, ascii_only=False)} }}}}" if text else ""
