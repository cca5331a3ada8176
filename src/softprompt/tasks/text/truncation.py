"""A text without some of its tokens: at its end, at its beginning or in its middle.

Which part of a document tells its class differs from task to task; head and tail together did best for the reviews and
news of Sun et al., "How to Fine-Tune BERT for Text Classification?" (2019), section 5.3.1.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from softprompt.guards.tokenizing import tokenise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Truncation: TypeAlias = Literal["end", "beginning", "middle"]


@dataclass(frozen=True, slots=True)
class Truncated:
    """A text and which of its tokens are left out; no character is cut in two.

    Attributes:
        whole: the text.
        points: for each token the character at which it starts, ascending; every character where that is not known.
        side: which part is left out.
        first: the first token that is left out.
        after: the first token behind those that are left out.
    """

    whole: str
    points: tuple[int, ...]
    side: Truncation
    first: int
    after: int

    @classmethod
    def of(cls, text: str, tokenizer: PreTrainedTokenizerBase, side: Truncation) -> Truncated:
        """A text of which nothing is left out yet."""
        points = _starts(text, tokenizer)
        place = {"end": len(points), "beginning": 0, "middle": (len(points) + 1) // 2}[side]
        return cls(text, points, side, place, place)

    @property
    def text(self) -> str:
        """What is left."""
        start = self.points[self.first] if self.first < len(self.points) else len(self.whole)
        end = self.points[self.after] if self.after < len(self.points) else len(self.whole)
        head, tail = self.whole[:start], self.whole[end:]
        if self.side == "end":
            return head.rstrip()
        if self.side == "beginning":
            return tail.lstrip()
        left, right = head.rstrip(), tail.lstrip()
        # Two words that stood apart do not grow into one.
        gap = " " if left and right and (left != head or right != tail) else ""
        return f"{left}{gap}{right}"

    def without(self, tokens: int) -> Truncated:
        """The same with so many more tokens left out, at least; what shares a character with them goes as well."""
        count = len(self.points)
        kept = max(count - (self.after - self.first) - tokens, 0)
        first = {"end": kept, "beginning": 0, "middle": (kept + 1) // 2}[self.side]
        after = count - (kept - first)
        # Several tokens may start at one character: a part that stays ends before it, or starts behind it.
        if first < count:
            first = bisect_left(self.points, self.points[first])
        if 0 < after < count:
            after = bisect_right(self.points, self.points[after - 1])
        return replace(self, first=first, after=after)


def _starts(text: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    if not getattr(tokenizer, "is_fast", False):
        return tuple(range(len(text)))
    encoded = tokenise(tokenizer, text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    points = tuple(sorted(start for start, _ in encoded["offset_mapping"]))
    return points if not text or points[:1] == (0,) else (0, *points)
