"""Tables whose rows bring candidates of their own, one of which is the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from softprompt.tasks.guess.answers import Keys
from softprompt.tasks.guess.names import words_of
from softprompt.tasks.guess.profile import Profile
from softprompt.tasks.values import index_text, label_text, several

NAMES = ("choices", "options", "candidates", "endings")  # of a column of lists


def offered(columns: Iterable[Profile]) -> Profile | None:
    """The column of the candidates: one of such a name, with a list or a mapping in each row."""
    return next((one for one in columns if one.rows == one.nested and "".join(words_of(one.name)) in NAMES), None)


def choice_keys(rows: Iterable[Mapping[str, object]], choices: str, label: str) -> Keys | None:
    """The keys of a task of the kind `choice`; None where the labels are not those of the rows' own candidates.

    Args:
        rows: of the table.
        choices: the column of the candidates.
        label: of the answers: the place of the right candidate, counted from 0, its name or its text.
    """
    fits: dict[str, Callable[[str, list[str], list[str]], bool]] = {
        "names": lambda own, _, names: own in names,
        "places": lambda own, texts, _: own in map(str, range(len(texts))),
        "texts": lambda own, texts, _: own in texts,
    }
    for row in rows:
        texts, names = _candidates(row.get(choices))
        own = row.get(label)
        if len(texts) < 2 or own is None or several(own) is not None:
            return None
        fits = {way: fit for way, fit in fits.items() if fit(index_text(own), texts, names)}
    if not fits:
        return None
    named = {"choices": choices, "answers" if next(iter(fits)) == "texts" else "label": label}
    columns = {key: (column,) for key, column in named.items() if key != column}
    return {"kind": "choice", "metrics": ("accuracy",), "columns": columns}


def _candidates(value: object) -> tuple[list[str], list[str]]:
    """The texts of a row's candidates, and the names that they have beside them; nothing where there are none."""
    names: object = ()
    if isinstance(value, Mapping):
        names = value.get("label")
        value = value.get("text")
    if not isinstance(value, (list, tuple)) or any(several(one) is not None for one in value):
        return [], []
    return [label_text(one) for one in value], list(map(index_text, names if isinstance(names, (list, tuple)) else ()))
