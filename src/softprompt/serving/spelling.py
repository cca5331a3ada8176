"""Ids as text, token by token: each is decoded with the few before it alone, and not with the whole text again.

What a token says may depend on those around it: one has a part of a character's bytes, one begins with a space but at
a text's beginning, one closes up to the word before it. So the ids since the last boundary are decoded together with
those of the stretch before it, and what is longer than that stretch by itself is new. There is a boundary behind a
token that ends in nothing open: that no token to come can change. (Our choice, after the windows that other servers
decode, which do not look for what is open.)
"""

from __future__ import annotations

import re

from transformers import PreTrainedTokenizerBase

_CUT = "\ufffd"  # what a tokenizer shows of a character whose bytes are not all there
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")  # a token of one byte: a run of them is decoded as a whole
# How a text may end whose spaces a tokenizer still cleans up: proper beginnings of what transformers'
# `clean_up_tokenization` replaces.
_LOOSE = (" ", " '", " n", " n'", " 'v", " 'r")


class Spelling:
    """A text that grows by ids.

    Args:
        tokenizer: decodes.

    Attributes:
        settled: the text up to the last boundary, which stays as it is.
        text: all of it so far.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Of no id."""
        self.settled = self.text = ""
        self._tokenizer = tokenizer
        self._cleans = bool(getattr(tokenizer, "clean_up_tokenization_spaces", False))
        self._ids: list[int] = []
        self._start = self._boundary = 0  # the stretch before the boundary, by places of ids
        self._stretch = ""  # decoded by itself

    def add(self, token: int) -> None:
        """Go on with an id."""
        self._ids.append(token)
        window = self._decoded(self._start)
        if not window.startswith(self._stretch):  # a tokenizer of another make
            self.text = self.whole()
            return
        text = self.settled + window[len(self._stretch) :]
        if text == self.text:
            if self._says_nothing(token):
                self._ids.pop()
            return
        self.text = text
        if not self._open(token):
            self.settled, self._start, self._boundary = text, self._boundary, len(self._ids)
            self._stretch = self._decoded(self._start)

    def whole(self) -> str:
        """The text with all ids decoded at once."""
        return self._decoded(0)

    def _decoded(self, start: int) -> str:
        return str(self._tokenizer.decode(self._ids[start:], skip_special_tokens=True))

    def _says_nothing(self, token: int) -> bool:
        """Whether an id is left out of every text, as one that marks something is."""
        return not self._tokenizer.decode([token], skip_special_tokens=True) and bool(
            self._tokenizer.decode([token], skip_special_tokens=False)
        )

    def _open(self, token: int) -> bool:
        """Whether a later id may change how the text ends, whose last id that says something this is."""
        if self.text.endswith(_CUT) or (self._cleans and self.text.endswith(_LOOSE)):
            return True
        return _BYTE.fullmatch(str(self._tokenizer.convert_ids_to_tokens(token))) is not None
