"""What did not fit into encoded rows, told: which fields lost how much, and how many answers their end."""

from __future__ import annotations

from collections.abc import Sequence

from softprompt.readouts.base import Item
from softprompt.readouts.spec import ReadoutSpec


def told_cuts(items: Sequence[Item], spec: ReadoutSpec, rows: str) -> list[str]:
    """One line a field that was cut in some rows, and one for answers that were; none where all fits.

    Args:
        items: encoded rows.
        spec: how they are read.
        rows: what they are called, as `training rows`.
    """
    found: dict[str, list[float]] = {}
    for item in items:
        for name, share in item.lost.items():
            found.setdefault(name, []).append(share)
    lines = [
        f"{len(shares)} of {len(items)} {rows} ({_percent(len(shares) / len(items))}) were cut to fit max_length: "
        f"{name!r} lost its {spec.truncation}, {_percent(sum(shares) / len(shares))} of the text on average"
        for name, shares in found.items()
    ]
    unread = sum(item.unread for item in items)
    if unread:
        words = sum(len(text.words) for item in items for text in item.texts)
        lines.append(
            f"{unread} of {words} words of the {rows} ({_percent(unread / words)}) were cut, or are none to the "
            "tokenizer: they get the tag O, and are wrong where they are scored"
        )
    outside = sum(item.outside for item in items)
    if outside:
        lines.append(
            f"{outside} of {len(items)} {rows} ({_percent(outside / len(items))}) have no right answer that is one "
            "token of the vocabulary: they are not learned from, and left out where rows are scored"
        )
    answers = sum(item.answer_cut for item in items)
    if answers and any(text.spans for item in items for text in item.texts):
        lines.append(
            f"{answers} of {len(items)} {rows} ({_percent(answers / len(items))}) have their answer in what was cut: "
            "they are not learned from, and wrong where they are scored; raise max_length to have it"
        )
    elif answers:
        lines.append(
            f"{answers} of {len(items)} {rows} ({_percent(answers / len(items))}) have answers of more tokens than "
            f"max_new_tokens={spec.max_new_tokens}: none is written that long, and of one that is taught the beginning "
            "counts, without an end token; raise max_new_tokens to have them whole"
        )
    return lines


def _percent(share: float) -> str:
    """A share that is not nothing is never told as 0 %, and one that is not all never as 100 %."""
    return "under 1 %" if share < 0.01 else "over 99 %" if 0.99 < share < 1 else f"{share:.0%}".replace("%", " %")
