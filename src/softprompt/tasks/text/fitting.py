"""A rendered template as token ids within a budget: the longest field is cut, nothing else ever is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from softprompt.errors import SoftPromptError
from softprompt.guards.tokenizing import token_ids
from softprompt.tasks.text.template import CHOICE, Mask, PromptSlot, Segment, Sep, Template, Text
from softprompt.tasks.text.truncation import Truncated, Truncation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Piece: TypeAlias = int | PromptSlot | Mask
# Characters of a text beyond which its beginning may stand for it, and those that the longest tokens have.
_LONG, _LONG_TOKEN = 100_000, 32


@dataclass(frozen=True, slots=True)
class FittedText:
    """Token ids with the places of virtual tokens and of the mask among them.

    Attributes:
        pieces: token ids, `PromptSlot` and `Mask` in the order of the template.
        choice: where ``{choice}`` stands: the index into `pieces` of the first token that holds any of its
            text, or None where the template has no choice.
        lost: of each field that was cut the share of its characters that was left out.
        kept: of each field that was cut the text that is left.
        segments: of the template, filled in, whose tokens the pieces are.
    """

    pieces: tuple[Piece, ...]
    choice: int | None = None
    lost: Mapping[str, float] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    segments: tuple[Segment, ...] = field(default=(), compare=False, repr=False)

    @property
    def truncated(self) -> bool:
        """Whether a field was cut."""
        return bool(self.lost)


def fit_text(
    template: Template,
    fields: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    budget: int,
    choice: str | None = None,
    truncation: Truncation = "end",
) -> FittedText:
    """Tokenise a row and cut its longest fields until at most `budget` tokens remain.

    Text is tokenised a whole segment at a time and without special tokens, so a template without places
    tokenises like the plain string. Literals, the choice, prompt places and the mask are never cut.

    Args:
        template: the parsed template.
        fields: the row's texts by field name.
        tokenizer: any transformers tokenizer.
        budget: how many token ids are allowed, separators among them; the prompt places and the mask do
            not count, so the caller takes them and its special tokens off first.
        choice: the text of ``{choice}``.
        truncation: which part of a field is left out: its end, its beginning or its middle.

    Returns:
        The pieces and what was cut.

    Raises:
        SoftPromptError: the template's fixed text alone is longer than the budget.
    """
    shorter = _shorter(template, fields, tokenizer, budget, truncation)
    fitted, texts = _fit(template, {**fields, **shorter}, tokenizer, budget, choice, truncation)
    kept = {**shorter, **texts}
    lost = {name: 1 - len(text) / len(fields[name]) for name, text in kept.items()}
    return replace(fitted, lost=lost, kept=kept)


def _shorter(
    template: Template,
    fields: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    budget: int,
    truncation: Truncation,
) -> dict[str, str]:
    """Very long texts without what would only be cut again, where the ends of them that may stay fill the budget.

    Tokens far from a text's end do not depend on it, so what is kept is the same, in the time of these ends.
    """
    size = max(_LONG, _LONG_TOKEN * budget)
    found = {}
    for name in template.fields:
        text = fields.get(name, "")
        ends = (text[:size] if truncation != "beginning" else "", text[-size:] if truncation != "end" else "")
        if len(text) > sum(map(len, ends)) and all(_tokens(end, tokenizer) > budget for end in ends if end):
            found[name] = "".join(ends)
    return found


def _fit(
    template: Template,
    fields: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    budget: int,
    choice: str | None,
    truncation: Truncation,
) -> tuple[FittedText, dict[str, str]]:
    """The pieces, and the fields that were cut for them."""
    texts = {name: fields[name] for name in template.fields if name in fields}
    fitted = _tokenise(template, fields, tokenizer, choice)
    count = _count(fitted)
    if count <= budget:
        return fitted, {}
    cuts = {name: Truncated.of(text, tokenizer, truncation) for name, text in texts.items()}
    shares = {name: sum(getattr(part, "name", None) == name for part in template.parts) for name in texts}
    while count > budget:
        if not any(texts.values()):
            raise SoftPromptError(
                f"template {str(template)!r} takes {count} tokens without its fields, and {budget} fit; "
                "shorten the template, use fewer virtual tokens or raise the maximum length"
            )
        # A text of odd characters may have no token of its own; counting it as one lets it be cut too.
        lengths = {name: max(_tokens(text, tokenizer), 1) for name, text in texts.items() if text}
        for name, tokens in _surplus(lengths, shares, count - budget).items():
            cuts[name] = cuts[name].without(tokens)
            texts[name] = cuts[name].text
        fitted = _tokenise(template, {**fields, **texts}, tokenizer, choice)
        count = _count(fitted)
    return fitted, {name: text for name, text in texts.items() if text != fields[name]}


def _tokenise(
    template: Template, fields: Mapping[str, str], tokenizer: PreTrainedTokenizerBase, choice: str | None
) -> FittedText:
    separator: int | None = getattr(tokenizer, "sep_token_id", None)
    pieces: list[Piece] = []
    place: int | None = None
    segments = template.render(fields, choice, None if separator is not None else "\n")
    for segment in segments:
        if isinstance(segment, Text):
            ids = _ids(segment.text, tokenizer)
            span = next((span for span in segment.spans if span.name == CHOICE), None)
            if span is not None:
                place = len(pieces) + _shared(ids, _ids(segment.text[: span.start].rstrip(" "), tokenizer))
            pieces.extend(ids)
        elif not isinstance(segment, Sep):
            pieces.append(segment)
        elif separator is not None:
            pieces.append(separator)
    return FittedText(tuple(pieces), place, segments=segments)


def _ids(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return token_ids(tokenizer, text) if text else []


def _tokens(text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    return len(_ids(text, tokenizer))


def _shared(whole: list[int], head: list[int]) -> int:
    """How many tokens at the start of `whole` are those of `head`."""
    return next((i for i, (a, b) in enumerate(zip(whole, head, strict=False)) if a != b), min(len(whole), len(head)))


def _count(fitted: FittedText) -> int:
    return sum(isinstance(piece, int) for piece in fitted.pieces)


def _surplus(lengths: Mapping[str, int], shares: Mapping[str, int], excess: int) -> dict[str, int]:
    """Tokens to take off each field so that the longest become equal and `excess` go in all."""
    total = sum(lengths[name] * shares[name] for name in lengths)
    target = max(total - excess, 0)
    low, high = 0, max(lengths.values(), default=0)
    while low < high:  # the largest length to which all fields may be held
        middle = math.ceil((low + high) / 2)
        if sum(min(lengths[name], middle) * shares[name] for name in lengths) <= target:
            low = middle
        else:
            high = middle - 1
    surplus = {name: length - low for name, length in lengths.items() if length > low}
    return surplus or dict.fromkeys(lengths, 1)
