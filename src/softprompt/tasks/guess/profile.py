"""What stands in a column of a table: how many values, of which kind, and how many different ones."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from softprompt.guards import limits
from softprompt.tasks.values import label_text, several

_DIFFERENT = limits.LABELS + 1  # values that are told apart; more are many
_LOOKED = 2_000  # values whose kind is looked at
_LABEL = 200  # characters of a value that may be a label; of longer ones a hash is kept

_WHOLE = re.compile(r"[+-]?\d{1,15}(\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d[\d,]{0,40}\.?\d{0,40}|\.\d{1,40})([eE][+-]?\d{1,3})?%?", re.ASCII)
_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|[A-Z][a-z]{2} [A-Z][a-z]{2} +\d{1,2} .*)"
    r"([T ]\d{1,2}:\d\d.*)?|\d{1,2}:\d\d(:\d\d)?",
    re.ASCII,
)
_LINK = re.compile(r"(https?://|www\.)\S+|\S+@\S+\.\w+|(/|[A-Z]:\\)\S+", re.ASCII)
# Scripts that put no spaces between words: Chinese, Japanese, Thai, Lao, Khmer.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


def label_of(value: object) -> str:
    """A value as the label that it would be: whole numbers as `1`, however a table writes them.

    Raises:
        SoftPromptError: a list, a mapping or bytes.
    """
    text = label_text(value)
    return text.partition(".")[0] if len(text) < 20 and "." in text and _WHOLE.fullmatch(text) else text


@dataclass
class Profile:
    """One column.

    Attributes:
        name: of the column.
        rows: that were seen.
        filled: rows with a value.
        nested: rows with a list or a mapping.
        counts: how often each value stands there, the first `_DIFFERENT` of them.
        example: the first value.
    """

    name: str
    rows: int = 0
    filled: int = 0
    nested: int = 0
    counts: Counter[str | int] = field(default_factory=Counter)
    example: str = ""
    _kinds: Counter[str] = field(default_factory=Counter)

    def see(self, value: object) -> None:
        """One more value."""
        self.rows += 1
        if value is None or value == "":
            return
        if several(value) is not None:
            self.nested += 1
            self.example = self.example or "a list or a mapping"
            return
        if self.many and self._kinds["looked"] >= _LOOKED:
            self.filled += 1
            return
        text = label_of(value)
        if not text:
            return
        self.filled += 1
        self.example = self.example or text
        key = text if len(text) <= _LABEL else hash(text)
        if not self.many or key in self.counts:
            self.counts[key] += 1
        if self._kinds["looked"] < _LOOKED:
            self._look(text)

    @property
    def many(self) -> bool:
        """Whether there are more different values than labels may be."""
        return len(self.counts) >= _DIFFERENT

    @property
    def labels(self) -> dict[str, int]:
        """The different values as labels, and how often each stands there; long ones are left out."""
        return {key: count for key, count in self.counts.items() if isinstance(key, str)}

    @property
    def empty(self) -> bool:
        """Whether less than half of the rows have a value."""
        return 2 * self.filled < self.rows or not self.filled

    @property
    def words(self) -> float:
        """Words of a value, on average; of scripts without spaces two characters are one."""
        return self._mean("words")

    @property
    def characters(self) -> float:
        """Characters of a value, on average."""
        return self._mean("characters")

    @property
    def different(self) -> float:
        """The share of values that no earlier row has."""
        seen = self.counts.total()
        return len(self.counts) / seen if seen else 0.0

    def is_all(self, kind: str) -> bool:
        """Whether the values, or nearly all of them, are whole, number, date or link."""
        return self._mean(kind) > (0.999 if kind in ("whole", "number") else 0.9)

    @property
    def counts_rows(self) -> bool:
        """Whether it numbers the rows: whole numbers, each once."""
        return self.is_all("whole") and self.filled > 3 and (self.many or len(self.counts) == self.filled)

    def _look(self, text: str) -> None:
        start = text[:2_000]
        kinds = self._kinds
        kinds["looked"] += 1
        kinds["characters"] += len(start)
        kinds["words"] += len(start.split()) + len(_UNSPACED.findall(start)) // 2
        number = len(text) < 60 and _NUMBER.fullmatch(text) is not None
        kinds["number"] += number
        kinds["whole"] += number and _WHOLE.fullmatch(text) is not None
        kinds["date"] += len(text) < 60 and _DATE.fullmatch(text) is not None
        kinds["link"] += _LINK.fullmatch(start) is not None

    def _mean(self, kind: str) -> float:
        return self._kinds[kind] / self._kinds["looked"] if self._kinds["looked"] else 0.0
