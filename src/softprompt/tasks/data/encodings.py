"""Which encoding a text file is of, where it is not UTF-8: told by its bytes with good reason, or not at all.

Two kinds are told. UTF-16 without a mark shows in the zero bytes of its first line. Windows-1252, in which spreadsheets
of Western Europe save csv, is what a file is read as in which no word looks like one of another encoding:

- every byte above 0x7f is a letter or the usual punctuation of it, and no letters stand in one file that its languages
  do not share, as Danish ø and Italian ì, which are Czech ř and ě in Windows-1250;
- never more than three different ones in a row, and no word of nothing else, as there are in Cyrillic, Greek, Chinese
  and Japanese;
- no sign within a word and no capital after a small letter, which accents of DOS and of old Macs become;
- none of UTF-8's own sequences: a UTF-8 file that is damaged is not another encoding.

A wrong guess reads other letters in silence, so whatever fits none of this is left to whoever knows the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from softprompt.errors import SoftPromptError, quoted

LEGACY = "cp1252"
NAMES = {LEGACY: "Windows-1252", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
# Bytes of it, as they stand in a class of a pattern: letters, those of them that are capital and small, and signs.
_LETTERS = rb"\x83\x8a\x8c\x8e\x9a\x9c\x9e\x9f\xc0-\xd6\xd8-\xf6\xf8-\xff"
_CAPITALS, _SMALL = rb"\x8a\x8c\x8e\x9f\xc0-\xd6\xd8-\xde", rb"\x9a\x9c\x9e\xdf-\xf6\xf8-\xff"
_SIGNS = rb"\x80\x82\x84\x8b\x93\x95\x9b\xa1-\xa3\xa7\xa9-\xab\xae\xb1-\xb3\xb5\xba\xbc-\xbf\xd7\xf7"  # of no word
_IN_WORDS = rb"\x85\x91\x92\x94\x96\x97\x99\xa0\xad\xb0\xb4\xb7\xbb"  # quotes, dashes, spaces
_USUAL = re.compile(rb"[\x00-\x7f%b%b%b]*" % (_LETTERS, _SIGNS, _IN_WORDS))
_HIGH = rb"[\x80-\x9f\xa1-\xff]"
_STRANGE = re.compile(
    rb"(%b)\1*(?!\1)(%b)\2*(?!\2)(%b)\3*(?!\3)%b" % (_HIGH, _HIGH, _HIGH, _HIGH)  # four, each another than the last
    + rb"|(?<![A-Za-z%b])([%b])\4*(?!\4)[%b]+(?![A-Za-z%b])" % ((_LETTERS,) * 4)  # a word of nothing else
    + rb"|[a-z%b][%b][a-z%b]" % (_LETTERS, _SIGNS, _LETTERS)  # a sign within a word
    + rb"|[a-z%b][%b]" % (_SMALL, _CAPITALS)
)
# Letters of which a file has not one of each group, unless they are other letters of another encoding.
_APART = (
    ("øØ", "ìÌèÈùÙ", "ýÝžŽšŠ"),  # ř, ě or č or ů, and ý: Czech
    ("šŠžŽ", "èÈæÆ"),  # š or ž, and č or ć: Croatian, Slovak, Slovenian
    ("ðÐþÞ", "çÇüÜëËàÀøØâÂãÃûÛìÌòÒïÏèÈ"),  # ğ or ş, and ç: Turkish; š or ž, and ė or ā: Baltic; ț and ă: Romanian
    ("õÕ", "öÖüÜ", "áÁíÍ"),  # ő, ö and á: Hungarian
)
# Letters of Europe and the Near East, typographic signs, emoji; others are runs of strange letters anyway.
_UTF_8 = re.compile(
    rb"[\xc2-\xc5\xce-\xd1\xd7-\xd9][\x80-\xbf]|\xe2[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}"
)
_WORD = re.compile("[\\w\u2019'-]+")
_SAMPLE = 'a,"\\x41";\n'
_NO_FILES = ("unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined")


def is_windows_1252(lines: Iterable[bytes]) -> bool:
    """Whether lines of bytes, of which one is no UTF-8, can be taken for Windows-1252."""
    seen: set[int] = set()
    for line in lines:
        if line.isascii():
            continue
        if _UTF_8.search(line) or not _USUAL.fullmatch(line) or _STRANGE.search(line):
            return False
        seen.update(line)
    letters = bytes(sorted(seen)).decode(LEGACY)
    return not any(all(set(group).intersection(letters) for group in groups) for groups in _APART)


def example(text: str) -> str:
    """The first word of a line with another character than ASCII has."""
    words = (match.group() for match in _WORD.finditer(text))
    return next((word for word in words if not word.isascii()), text.strip())[:40]


def wide_by_zeros(start: bytes) -> str | None:
    """UTF-16 of either order, where every other byte of most of a first line is zero; None for other files."""
    for encoding, end, zero in (("utf-16-le", b"\n\0", 1), ("utf-16-be", b"\0\n", 0)):
        place = next((at for at in range(0, len(start) - 1, 2) if start[at : at + 2] == end), None)
        line = start[: len(start) // 2 * 2] if place is None else start[:place]
        zeros = line[zero::2].count(0)
        if 2 * zeros >= len(line) // 2 > 0 and not line[1 - zero :: 2].count(0):
            return encoding
    return None


def check_encoding(name: str, what: str = "encoding") -> str:
    """The name of an encoding that files of text may have.

    Raises:
        SoftPromptError: there is none of that name, or it is none of texts.
    """
    try:
        fits = name.lower().replace("-", "_") not in _NO_FILES and _SAMPLE.encode(name).decode(name) == _SAMPLE
    except (LookupError, UnicodeError, ValueError):
        fits = False
    if not fits:
        raise SoftPromptError(
            f"{what} {quoted(name)} is no encoding of text that Python knows: give one as utf-8, cp1252, cp1250, "
            "latin-1, utf-16, shift_jis or gb18030"
        )
    return name
