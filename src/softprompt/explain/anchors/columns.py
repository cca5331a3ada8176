"""Which tokens of a text are structural.

CaPT's paper names "sentence", "1" and ":" (Finding I), words of its template, and gives no rule. Ours has three parts,
of which any may be left out, and words of one's own may be added:

template      tokens of the template's own words, told from the fields by where they stand in the text
special       the tokenizer's special tokens, such as [SEP], but for the mask, where the answer is read
punctuation   tokens without a letter or a digit, line ends among them
word=TEXT     tokens that read TEXT, in upper or lower case

The first token of a text is none of them: it is a known sink of attention, and counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.tokenizing import tokenise
from softprompt.tasks.text.encoding import Encoded, RowEncoder, affixes
from softprompt.tasks.text.template import Mask, PromptSlot, Text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RULES = ("template", "special", "punctuation")
_WORD = "word="


@dataclass(frozen=True)
class Structural:
    """What counts as structural.

    Attributes:
        rules: some of `RULES`.
        words: what other tokens read, in lower case.
    """

    rules: frozenset[str] = frozenset(RULES)
    words: frozenset[str] = frozenset()

    @classmethod
    def of(cls, told: Sequence[str]) -> Structural:
        """Of names of rules and of `word=TEXT`.

        Raises:
            SoftPromptError: neither of them, or nothing at all.

        Example:
            >>> from softprompt.explain.anchors.columns import Structural
            >>> sorted(Structural.of(["punctuation", "word=Question"]).words)
            ['question']
        """
        words = {one[len(_WORD) :].strip().lower() for one in told if one.startswith(_WORD)}
        rules = [one for one in told if not one.startswith(_WORD)]
        unknown = next((one for one in rules if one not in RULES), None)
        if unknown is not None or not told or "" in words:
            what = "nothing" if not told else quoted(unknown if unknown is not None else _WORD)
            raise SoftPromptError(f"structural tokens: {what}: choose among {', '.join(RULES)} and {_WORD}TEXT")
        return cls(frozenset(rules), frozenset(words))

    def __str__(self) -> str:
        return ", ".join([*(one for one in RULES if one in self.rules), *(_WORD + one for one in sorted(self.words))])


def structural_tokens(
    rule: Structural, encoder: RowEncoder, text: Encoded, fields: Mapping[str, str], choice: str | None = None
) -> tuple[bool, ...]:
    """Of each token of a text, virtual ones left out, whether it is structural; the first never is.

    Args:
        rule: what counts.
        encoder: that encoded the text.
        text: encoded.
        fields: of its row.
        choice: what stood at `{choice}`.

    Raises:
        SoftPromptError: the template's words cannot be told from the text's.
    """
    tokenizer, ids = encoder.tokenizer, [one for one in text.ids if one >= 0]
    every = set(tokenizer.all_special_ids)
    special = every - {tokenizer.mask_token_id} if "special" in rule.rules else set()
    own = _template_tokens(encoder, text, fields, choice) if "template" in rule.rules else [False] * len(ids)
    read = {one: str(tokenizer.decode([one])).strip() for one in set(ids)}
    punctuation = "punctuation" in rule.rules
    found = [
        of_template
        or one in special
        or read[one].lower() in rule.words
        or (punctuation and one not in every and _is_punctuation(read[one]))
        for one, of_template in zip(ids, own, strict=True)
    ]
    return (False, *found[1:])


def _is_punctuation(text: str) -> bool:
    """Whether a token has neither letter nor digit; a part of a character (�) is a letter's, mostly."""
    return "�" not in text and not any(map(str.isalnum, text))


def _template_tokens(encoder: RowEncoder, text: Encoded, fields: Mapping[str, str], choice: str | None) -> list[bool]:
    """Of each token of a text, virtual ones left out, whether the template's own words made it."""
    tokenizer = encoder.tokenizer
    if not tokenizer.is_fast:
        raise SoftPromptError(
            "structural tokens: this tokenizer does not tell where its tokens stand, so that a template's words cannot "
            "be told from the text's: leave template out"
        )
    separator: int | None = getattr(tokenizer, "sep_token_id", None)
    before, after = affixes(tokenizer)
    found = [(one, False) for one in before]
    segments = encoder.template.render({**fields, **text.kept}, choice, None if separator is not None else "\n")
    for segment in segments:
        if isinstance(segment, Text):
            found += _of_text(tokenizer, segment)
        elif isinstance(segment, Mask):
            found += [] if encoder.mask_id is None else [(encoder.mask_id, False)]
        elif not isinstance(segment, PromptSlot) and separator is not None:
            found.append((separator, False))
    found += [(one, False) for one in after] if encoder.closing else []
    if [one for one, _ in found] != [one for one in text.ids if one >= 0]:
        raise SoftPromptError(
            "structural tokens: the words of this prompt's template cannot be told from the text's: leave template out"
        )
    return [own for _, own in found]


def _of_text(tokenizer: PreTrainedTokenizerBase, segment: Text) -> list[tuple[int, bool]]:
    """The ids of a run of text, each with whether no character of it comes from a field."""
    encoded = tokenise(tokenizer, segment.text, add_special_tokens=False, verbose=False, return_offsets_mapping=True)
    spans = [(span.start, span.end) for span in segment.spans]
    found = []
    for one, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
        start += len(segment.text[start:end]) - len(segment.text[start:end].lstrip())
        found.append((one, not any(start < last and end > first for first, last in spans)))
    return found
