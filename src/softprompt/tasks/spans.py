"""Spans of words in a sentence's tags: BIO (IOB2), IOB1 and BIOES, as CoNLL's evaluation reads them.

`B-PER I-PER O B-LOC` holds a PER of two words and a LOC. Where tags contradict one another the reading is that of
`conlleval` (Tjong Kim Sang and Buchholz 2000), and of seqeval without a scheme: an `I-PER` that no PER leads up to
begins a span, as it does in IOB1, and another type ends one. `L` and `U`, as BILOU has them, are `E` and `S`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

Span: TypeAlias = tuple[str, int, int]  # its type, its first word and its last

OUTSIDE = "O"
_TAG = re.compile(r"[BIESLU](-.+)?", re.DOTALL)
_SAME = {"L": "E", "U": "S"}


def is_span_tag(tag: str) -> bool:
    """Whether a tag says where a span is: `O`, or a type behind its place in a span, as `B-PER`."""
    return tag == OUTSIDE or _TAG.fullmatch(tag) is not None


def spans_of(tags: Sequence[str]) -> Iterator[Span]:
    """The spans of a sentence, in order.

    Args:
        tags: of its words, each one that `is_span_tag` knows.
    """
    begun: tuple[str, int] | None = None
    before = (OUTSIDE, "")
    for place, tag in enumerate((*tags, OUTSIDE)):
        here = _parts(tag)
        if begun is not None and not _goes_on(before, here):
            yield (*begun, place - 1)
            begun = None
        if begun is None and here[0] != OUTSIDE:
            begun = here[1], place
        before = here


def type_of(tag: str) -> str:
    """The type of a span tag; `_` where it has none, as `B` alone."""
    return tag[2:] or "_"


def types_of(tags: Iterable[str]) -> tuple[str, ...]:
    """The types of spans that there are in tags, in the order in which they first stand."""
    return tuple(dict.fromkeys(type_of(tag) for tag in tags if tag != OUTSIDE))


def in_order(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags as a list of labels: `O`, then type by type the beginning first; of words without spans by name."""
    found = sorted(set(tags))
    if not all(map(is_span_tag, found)):
        return tuple(found)
    return tuple(sorted(found, key=lambda tag: (tag != OUTSIDE, type_of(tag), tag)))


def _parts(tag: str) -> tuple[str, str]:
    """The place in a span and the type."""
    return _SAME.get(tag[0], tag[0]), type_of(tag)


def _goes_on(before: tuple[str, str], here: tuple[str, str]) -> bool:
    """Whether a span that the word before belongs to has this one, too."""
    ended = before[0] in ("E", "S") or here[0] in ("B", "S", OUTSIDE)
    return not ended and before[1] == here[1]
