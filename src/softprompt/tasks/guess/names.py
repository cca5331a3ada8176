"""What the columns of tables are called that hold texts, labels, or neither; English and German."""

from __future__ import annotations

import re
import unicodedata

from softprompt.tasks.text.template import CHOICE, RESERVED

# By how surely a column of that name holds labels: what is called so, what may be called so, what often only
# describes a row.
_LABELS = (
    (6, "label labels target class y goldlabel goldlabels classindex labeltext labelname zielklasse klasse etikett"),
    (
        5,
        "category categories sentiment intent topic polarity emotion emotions spam toxic stance relation rating "
        "ratings stars overall score verdict quality duplicate entailment acceptability kategorie stimmung absicht "
        "thema bewertung urteil note sterne ziel",
    ),
    (
        3,
        "type tag status priority department team language lang domain genre grade outcome result decision answer "
        "subject mood section reason abteilung sprache status prioritaet art rubrik ressort antwort ergebnis gruppe",
    ),
)
_TEXTS = (
    "text texts sentence message review reviewtext body comment content contents tweet utterance document question "
    "query headline title abstract summary subject description post premise hypothesis passage paragraph context "
    "email mail sms string statement request ticket story article news transcript caption prompt input claim "
    "choice option ending sol "
    "nachricht satz texte rezension kommentar inhalt anfrage frage titel betreff beschreibung beitrag aussage "
    "ueberschrift uberschrift dokument meldung zusammenfassung bewertungstext antwort answer bewertung note"
)
_IDS = "id ids idx index uuid guid uid pk key nr no rowid rownumber number nummer lfdnr kennung hash"
_TRUTHS = ("is", "has", "ist", "hat")  # what a column of truths begins with
LABEL_RANKS = {name: rank for rank, names in _LABELS for name in names.split()}
TEXT_NAMES, ID_NAMES = frozenset(_TEXTS.split()), frozenset(_IDS.split())
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words_of(name: str) -> list[str]:
    """A column's name as words in small letters: of `airlineSentiment`, `Airline Sentiment` and `airline_sentiment`.

    Example:
        >>> from softprompt.tasks.guess.names import words_of
        >>> words_of("airlineSentiment"), words_of("Überschrift 2")
        (['airline', 'sentiment'], ['ueberschrift', '2'])
    """
    for letter, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("Ä", "Ae"), ("Ö", "Oe"), ("Ü", "Ue"), ("ß", "ss")):
        name = unicodedata.normalize("NFC", name).replace(letter, plain)
    bare = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return [word.lower() for word in _WORD.findall(bare)]


def label_rank(name: str) -> int:
    """How surely a column of that name holds labels, 0 where the name does not say so."""
    words = words_of(name)
    if not words:
        return 0
    whole = LABEL_RANKS.get("".join(words), 0)
    if whole:
        return 2 * whole
    if words[0] in _TRUTHS and len(words) > 1:
        return 9
    if words[-1].isdigit() or len(words[-1]) == 1:  # one of several alike: `label1`, `label_a`
        return max(0, 2 * LABEL_RANKS.get("".join(words[:-1]), 0) - 1)
    last = LABEL_RANKS.get(words[-1], 0)
    return 2 * last - 2 if last else max(LABEL_RANKS.get(word, 0) for word in words) // 2


def text_rank(name: str) -> int:
    """How surely a column of that name holds texts: 3 is called so, 2 ends so, 1 has such a word in it, else 0."""
    # One of several alike: `sentence1`, `text_a`, `#1 String`.
    words = [word for word in words_of(name) if not (word.isdigit() or len(word) == 1)]
    if not words or is_id(name):
        return 0
    if "".join(words) in TEXT_NAMES:
        return 3
    return 2 if words[-1] in TEXT_NAMES else int(any(word in TEXT_NAMES for word in words))


def is_id(name: str) -> bool:
    """Whether a column is called as one that numbers the rows; pandas calls it `Unnamed: 0`, or nothing."""
    words = words_of(name)
    if not name.strip() or words[:1] == ["unnamed"]:
        return True
    return bool(words) and (words[-1] in ID_NAMES or "".join(words) in ID_NAMES) and "".join(words) not in LABEL_RANKS


def known(name: str) -> bool:
    """Whether a cell is what the header of a table would say."""
    words = words_of(name)
    joined = "".join(words)
    return len(words) < 5 and (joined in LABEL_RANKS or joined in TEXT_NAMES or joined in ID_NAMES)


def field_names(columns: list[str]) -> dict[str, str]:
    """A name that a template takes for each column: its own where that is one, else what is left of it."""
    found: dict[str, str] = {}
    taken = {*RESERVED, CHOICE, "label", "choices", "answers", "group"}
    for column in columns:
        name = column if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", column) else "_".join(words_of(column))
        name = name if name and not name[0].isdigit() else f"text_{name}".rstrip("_")
        stem, number = "text" if name in taken else name, 2
        name = stem
        while name in taken or name in found.values():
            name, number = f"{stem}_{number}", number + 1
        found[column] = name
    return found


def title_of(name: str) -> str:
    """A column's name as it stands in front of its text in a template, as `Airline sentiment`."""
    title = " ".join(re.sub(r"[{}\s_\-]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).split())
    return title[:1].upper() + title[1:]
