"""WebNLG's release, XML whose entries have triples and their wordings, as the records of its JSON.

Python's own parser (expat) reads it; a file that declares entities, of which bombs are made, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.parsers import expat

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.paths import check_file, reading


def each_entry(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """The entries of a file with the lines at which they begin.

    Raises:
        SoftPromptError: it is larger than `limits.JSON`, no proper XML, or holds no entries.
    """
    check_file(path)
    with reading(path), path.open("rb") as file:
        data = file.read(limits.JSON + 1)
    limits.check(len(data), limits.JSON, "bytes and more", str(path), "give its files one by one")
    found = _Entries(path)
    try:
        found.parser.Parse(data, True)
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code)
        raise SoftPromptError(f"{path}, line {error.lineno}: not proper XML ({why}); write the file again") from None
    if not found.entries:
        raise SoftPromptError(f"{path}: no WebNLG entries in it, the only XML that is read; write its rows as jsonl")
    yield from found.entries


class _Entries:
    """What a parser has found: `<entry category=...>` with its `<mtriple>` and `<lex comment=...>`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[tuple[int, dict[str, object]]] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._read
        self._triples: list[dict[str, str]] = []
        self._lexes: list[dict[str, str]] = []
        self._comment = ""
        self._text: list[str] | None = None

    def _refuse(self, *_: object) -> None:
        raise SoftPromptError(f"{self.path}: the file declares a document type, which WebNLG's have not: take it out")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "entry":
            self._triples, self._lexes = [], []
            values = {"category": attributes.get("category"), "modifiedtripleset": self._triples}
            self.entries.append((self.parser.CurrentLineNumber, {**values, "lexicalisations": self._lexes}))
        elif name in ("mtriple", "lex"):
            self._text, self._comment = [], attributes.get("comment", "")

    def _end(self, name: str) -> None:
        if name not in ("mtriple", "lex") or self._text is None:
            return
        text, self._text = "".join(self._text).strip(), None
        if name == "lex":
            self._lexes.append({"comment": self._comment, "lex": text})
            return
        parts = [part.strip() for part in text.split("|")]
        if len(parts) != 3:
            where = f"{self.path}, line {self.parser.CurrentLineNumber}"
            raise SoftPromptError(f"{where}: the triple {text[:60]!r} has not three parts, with | between them")
        self._triples.append(dict(zip(("subject", "property", "object"), parts, strict=True)))

    def _read(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)
