"""Which columns of a table are texts, and which is the label: by name first, then by what stands in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from softprompt.errors import SoftPromptError, quoted, shortened
from softprompt.tasks.guess.names import LABEL_RANKS, TEXT_NAMES, is_id, label_rank, text_rank, words_of
from softprompt.tasks.guess.profile import Profile
from softprompt.tasks.values import listed, meant

_SURE = 8  # a rank of a name from which a column is the label whatever other columns could be
_SHOWN = 16  # columns that a message lists
_LONGEST = 60  # characters of a label, on average
_MENDS = {"text": "--text", "label": "--label"}


def choose(
    columns: Mapping[str, Profile], texts: Sequence[str], label: str | None, origin: str, *, named: bool = True
) -> tuple[list[Profile], Profile]:
    """The columns of the texts, and that of the label.

    Args:
        columns: of a table, by name, in its order.
        texts: those that the user chose; empty to guess.
        label: likewise; None to guess.
        origin: of the table, for messages.
        named: whether the table gives its columns names.

    Raises:
        SoftPromptError: there is no such column, or they cannot be told apart.
    """
    own = _given(columns, texts, origin)
    answer = None if label is None else _column(columns, label, origin)
    if answer is not None and answer in own:
        raise SoftPromptError(f"{origin}: column {label!r} is given as text and as label: choose another for one")
    if answer is None:
        answer = _label([one for one in columns.values() if one not in own])
    found = own or _texts([one for one in columns.values() if one is not answer], named=named)
    lacking = [what for what, there in (("text", found), ("label", answer)) if not there]
    if answer is None or lacking:
        raise SoftPromptError(_cannot(columns, lacking, origin))
    return found, answer


def is_text(column: Profile) -> bool:
    """Whether the values of a column read like texts: several words, which seldom stand there twice."""
    return _can_be_text(column) and column.words >= 3 and column.different > 0.3


def is_category(column: Profile) -> bool:
    """Whether the values of a column could be classes: few different ones, and short."""
    few = len(column.labels) == len(column.counts) and not column.many and column.different <= 0.5
    numbers = column.is_all("number") and not (column.is_all("whole") and len(column.counts) <= 20)
    scarce = not column.filled or (column.empty and label_rank(column.name) < _SURE)  # rows are told that lack one
    others = scarce or column.nested or column.is_all("date") or column.is_all("link") or numbers
    return few and not others and len(column.counts) > 1 and column.characters <= _LONGEST


def _given(columns: Mapping[str, Profile], texts: Sequence[str], origin: str) -> list[Profile]:
    """The columns that the user chose, each once; a name may hold a comma, and commas may stand between names."""
    names = [name for one in texts for name in ([one] if one in columns else one.split(","))]
    found = [_column(columns, name.strip(), origin) for name in dict.fromkeys(names)]
    nested = next((one for one in found if one.nested), None)
    if nested is not None:
        raise SoftPromptError(f"{origin}: column {nested.name!r} holds lists or mappings, and no texts: choose another")
    return found


def _column(columns: Mapping[str, Profile], name: str, origin: str) -> Profile:
    if name in columns:
        return columns[name]
    raise no_column(name, [*columns], origin)


def no_column(name: str, columns: Sequence[str], origin: object) -> SoftPromptError:
    """What is said of a name that no column of a table has."""
    near = meant(name, columns)
    hint = f"did you mean {near!r}? " if near is not None else ""
    return SoftPromptError(f"{origin}: no column {quoted(name)}; {hint}it has {listed(columns[:_SHOWN])}")


def _label(columns: Sequence[Profile]) -> Profile | None:
    """The column of the labels, None where several could be it or none can."""
    able = [one for one in columns if is_category(one) and not is_id(one.name)]
    able = [one for one in able if text_rank(one.name) < 3 or _may_be_both(one)]
    numbers = [one for one in columns if one.is_all("number") and label_rank(one.name) > _SURE and not one.empty]
    # Of two names alike a column of few values is sooner the label than one of many numbers.
    named = {one.name: (label_rank(one.name), one in able) for one in (*numbers, *able) if label_rank(one.name)}
    unnamed = [one for one in able if one.name not in named]
    words = [one for one in unnamed if not one.is_all("number")]
    if not named:
        likely = words or unnamed
        return likely[0] if len(likely) == 1 else None
    best = max(named.values())
    first, *alike = _wordiest([one for one in columns if named.get(one.name) == best])
    return None if alike or (best[0] < _SURE and words) else first


def _wordiest(columns: list[Profile]) -> list[Profile]:
    """Columns without those whose numbers say what another one says in words, as `label` and `label_text` do."""
    words = [one for one in columns if not one.is_all("number")]
    spoken = [sorted(one.counts.values()) for one in words]
    return [one for one in columns if one in words or sorted(one.counts.values()) not in spoken]


def _texts(columns: Sequence[Profile], *, named: bool) -> list[Profile]:
    """The columns of the texts; none where it is not plain which they are."""
    able = [one for one in columns if _can_be_text(one) and not is_id(one.name)]
    called = [one for one in able if text_rank(one.name) == 3 and (is_text(one) or _is_called_so(one))]
    if called:
        return called
    likely = [one for one in able if is_text(one)]
    for rank in (2, 1):
        found = [one for one in likely if text_rank(one.name) == rank]
        if found:
            return found
    if likely and not named:
        return likely
    likely = likely or [one for one in able if one.different > 0.5]
    longest = sorted(likely, key=lambda one: -one.characters)
    return longest[:1] if all(longest[0].characters > 3 * one.characters for one in longest[1:]) else []


def _is_called_so(column: Profile) -> bool:
    """Whether a name says that short texts are texts: none that labels have, and not few values again and again."""
    return not _may_be_both(column) and (column.different > 0.05 or column.words >= 3)


def _may_be_both(column: Profile) -> bool:
    """Whether texts and labels alike are called so, as `subject` and `answer` are."""
    joined = "".join(words_of(column.name))
    return joined in LABEL_RANKS and joined in TEXT_NAMES


def _can_be_text(column: Profile) -> bool:
    kinds = ("number", "date", "link")
    constant = len(column.counts) < 2 and column.filled > 1
    return not (column.empty or column.nested or constant or any(map(column.is_all, kinds)))


def _cannot(columns: Mapping[str, Profile], lacking: Sequence[str], origin: str) -> str:
    """That columns cannot be told apart, with an example of each."""
    shown = ", ".join(
        f"{shortened(name, 40) or repr(name)} ({quoted(one.example, 40) if one.example else 'empty'})"
        for name, one in [*columns.items()][:_SHOWN]
    )
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    semicolons = len(columns) == 1 and ";" in next(iter(columns))
    split = "; its columns seem to be separated by semicolons: save it with commas" if semicolons else ""
    return (
        f"{origin}: which column is the {' and which the '.join(lacking)} cannot be told from its columns "
        f"{shown}{more}: name {'it' if len(lacking) == 1 else 'them'} with "
        f"{' and '.join(_MENDS[what] + ' COLUMN' for what in lacking)}{split}"
    )
