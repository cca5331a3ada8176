"""Tables to be put into words (E2E, WebNLG, DART), linearised as the code of Prefix-Tuning does.

Li and Liang, "Prefix-Tuning: Optimizing Continuous Prompts for Generation", ACL 2021,
<https://arxiv.org/abs/2101.00190>; the forms of the text are those of its released code (`gpt2/train_e2e.py` and the
data sets that it reads).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from softprompt.tasks.data.typed import at, each, flat_table

Values: TypeAlias = Mapping[str, object]

_SLOT = re.compile(r"\s*([^,\[\]]+)\[([^\]]*)\](?:,|\s*\Z)")
# What the code's copy of E2E calls the challenge's attributes.
_NAMES = {"eatType": "Type", "priceRange": "price", "familyFriendly": "family friendly"}
# Of WebNLG 2017: the categories of its training rows. The other five stand in its test rows alone.
_SEEN = (
    "Airport",
    "Astronaut",
    "Building",
    "City",
    "ComicsCharacter",
    "Food",
    "Monument",
    "SportsTeam",
    "University",
    "WrittenWork",
)


def e2e(values: Values) -> Iterator[Values]:
    """E2E: ``name[X], eatType[Y]`` as ``name : X | Type : Y``; what is linearised already stays."""
    key = next((name for name in ("mr", "meaning_representation") if name in values), None)
    text = values if key is None else {**values, "meaning": _meaning(at(values, key, str))}
    yield from flat_table(text)


def _meaning(text: str) -> str:
    slots, end = [], 0
    for match in _SLOT.finditer(text):
        if match.start() != end:
            break
        name, value = match.group(1).strip(), match.group(2).strip()
        slots.append(f"{_NAMES.get(name, name)} : {value}")
        end = match.end()
    if not slots or text[end:].strip():
        raise ValueError(f"{text[:60]!r} is no list of slot[value], slot[value]")
    return " | ".join(slots)


def webnlg(values: Values) -> Iterator[Values]:
    """WebNLG: ``| subject : property : object`` a triple, and the wordings that are marked as good.

    An entry may stand under its number, as in the JSON that the code reads.
    """
    inner = next(iter(values.values()), None)
    if len(values) == 1 and isinstance(inner, Mapping):
        values = inner
    if "modifiedtripleset" not in values:
        yield from flat_table(values)
        return
    found = each(values, "modifiedtripleset", dict)
    triples = [[at(one, part, str) for part in ("subject", "property", "object")] for one in found]
    lexes = each(values, "lexicalisations", dict) if "lexicalisations" in values else []
    yield {
        "triples": "| " + " | ".join(map(" : ".join, triples)),
        "category": values.get("category"),
        "part": "seen" if values.get("category") in _SEEN else "unseen",
        "answers": [at(one, "lex", str).strip() for one in lexes if one.get("comment") == "good"] or None,
    }


def dart(values: Values) -> Iterator[Values]:
    """DART: ``subject : property : object | ...``, properties in small letters, and its annotations."""
    if "tripleset" not in values:
        yield from flat_table(values)
        return
    triples = []
    for one in each(values, "tripleset", list):
        subject, relation, thing = map(str, one)
        triples.append(f"{subject} : {relation.lower()} : {thing}")
    annotations = each(values, "annotations", dict) if "annotations" in values else []
    texts = [at(one, "text", str).strip() for one in annotations]
    yield {"triples": " | ".join(triples), "answers": texts or None}
