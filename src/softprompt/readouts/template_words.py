"""A template's own words as virtual tokens, wherever they stand.

A row is tokenised as the plain template tokenises it. Tokens that show no character of a field are the template's own;
those that are its words, in order, are then exchanged for the virtual tokens that stand for them. A word that melts
into its neighbour in a row (a full stop into a newline) stays as the tokenizer made it there, so that virtual tokens
with the words' own vectors give exactly what the plain template gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from softprompt.errors import SoftPromptError
from softprompt.guards.tokenizing import tokenise
from softprompt.tasks.text.encoding import Encoded, RowEncoder
from softprompt.tasks.text.fitting import FittedText, Piece
from softprompt.tasks.text.template import PromptSlot, Segment, Template, Text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TemplateWordsEncoder(RowEncoder):
    """Encodes rows with virtual tokens in the place of the template's words.

    Attributes:
        words: ids of the template's words, from `word_ids`.
        first: rank of the virtual token that stands for the first of them.
    """

    words: tuple[int, ...] = ()
    first: int = 0

    def _place(
        self, fitted: FittedText, before: tuple[int, ...], after: tuple[int, ...], ranks: list[range]
    ) -> Encoded:
        own = _own(fitted.segments, self.tokenizer)
        found = _ranks([piece for piece, mine in zip(fitted.pieces, own, strict=True) if mine], self.words)
        pieces, places, order = list(fitted.pieces), list[range](), iter(found)
        for index, mine in enumerate(own):
            rank = next(order) if mine else None
            if rank is not None:
                pieces[index] = PromptSlot(1)
                places.append(range(self.first + rank, self.first + rank + 1))
        return super()._place(replace(fitted, pieces=tuple(pieces)), before, after, places)


def word_ids(source: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The ids of a template's own words: of its text, neither fields nor mask nor separators.

    Args:
        source: a template.
        tokenizer: a fast one, which tells where its tokens stand.

    Raises:
        SoftPromptError: places for virtual tokens in the template, or a tokenizer that gives no offsets.
    """
    template = Template.parse(source)
    if template.slots:
        raise SoftPromptError(f"template {source!r}: its words are the virtual tokens, so no {{prompt}} may be there")
    if not getattr(tokenizer, "is_fast", False):
        raise SoftPromptError("words of a template are found by a fast tokenizer's offsets: pass a fast tokenizer")
    separator = None if getattr(tokenizer, "sep_token_id", None) is not None else "\n"
    segments = template.render(dict.fromkeys(template.fields, "a"), "a" if template.has_choice else None, separator)
    texts = [segment for segment in segments if isinstance(segment, Text)]
    return tuple(token for text in texts for token, mine in _tokens(text, tokenizer) if mine)


def _own(segments: Sequence[Segment], tokenizer: PreTrainedTokenizerBase) -> list[bool]:
    """For each piece that `fit` made of the segments whether it is the template's own word."""
    own: list[bool] = []
    for segment in segments:
        own.extend(mine for _, mine in _tokens(segment, tokenizer)) if isinstance(segment, Text) else own.append(False)
    return own


def _tokens(text: Text, tokenizer: PreTrainedTokenizerBase) -> list[tuple[int, bool]]:
    """The tokens of a run of text, and whether each shows no character of a field."""
    encoded = tokenise(tokenizer, text.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return [
        (token, not any(start < span.end and end > span.start for span in text.spans))
        for token, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]


def _ranks(found: Sequence[Piece], words: Sequence[int]) -> list[int | None]:
    """The place among `words` of each token found, in order; None for one that is not there."""
    ranks: list[int | None] = []
    after = 0
    for token in found:
        rank = next((index for index in range(after, len(words)) if words[index] == token), None)
        ranks.append(rank)
        after = after if rank is None else rank + 1
    return ranks
