"""What a search may change: a range of an option, or several values of it, as `--over NAME=...` takes them.

`learning_rate=1e-3..1:log` is a range, drawn evenly in its logarithm; of two whole numbers, as in
`num_virtual_tokens=1..40`, it is one of whole numbers. `init=words,random` are values, as `--set` takes them; where one
of them has a comma in it, a `;` stands between: `layers=0,1;2,3`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from softprompt.compare.cells import Cell
from softprompt.compare.planned import METHOD, TRAINING, by_owner
from softprompt.errors import SoftPromptError, quoted
from softprompt.methods.registry import METHODS, method
from softprompt.training.options import training_options

Value = str | int | float
# Not the folders in `../a,../b`: before and behind a range's dots stand numbers, or what was meant for one.
_RANGE = re.compile(r"([^/\\]+?)\.\.([^/\\]+?)(:log)?")
_WHOLE = re.compile(r"[+-]?\d+")
_WIDTH, _LENGTHS = (
    10,
    4,
)  # a usual range of rates is so many times lower and higher than the default, of lengths likewise
_RATES = ("learning_rate", "head_learning_rate")
_SIZES = ("num_virtual_tokens", "rank")


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, or several values of an option.

    Attributes:
        name: of the option.
        owner: `method` or `training`.
        low: the lower end of a range.
        high: its upper end.
        log: it is drawn evenly in its logarithm.
        choices: the values, as they were typed, in place of a range.
        canonical: what these come to, in JSON.
    """

    name: str
    owner: str
    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple[str, ...] = ()
    canonical: tuple[JsonValue, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether it is a range of whole numbers."""
        return not self.choices and isinstance(self.low, int) and isinstance(self.high, int)

    def place_of(self, value: JsonValue) -> Value | None:
        """A value of the option as this has it; None where it lies outside."""
        if self.choices:
            return next((one for one, own in zip(self.choices, self.canonical, strict=True) if own == value), None)
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        return value if not self.whole else int(value) if value == int(value) else None

    def told(self) -> str:
        """As it is typed."""
        if self.choices:
            return f"{self.name}={(';' if any(',' in one for one in self.choices) else ',').join(self.choices)}"
        return f"{self.name}={self.low:g}..{self.high:g}{':log' if self.log else ''}"


def typed_ranges(texts: Iterable[str], cell: Cell) -> tuple[Range, ...]:
    """Ranges as they were typed, each of which a cell's method and training can have from end to end.

    Args:
        texts: as `NAME=LOW..HIGH`, `NAME=LOW..HIGH:log` or `NAME=VALUE,VALUE`.
        cell: with what else is set.

    Raises:
        SoftPromptError: no such option, a range without numbers or the wrong way round, a value that it cannot have,
            or an option that is there twice or set already.
    """
    found = [_checked(text, cell) for text in texts]
    for place, one in enumerate(found):
        if one.name in {(before.name) for before in found[:place] if before.owner == one.owner}:
            raise SoftPromptError(f"--over {one.name}: it is given twice: leave one of them out")
    return tuple(found)


def _checked(text: str, cell: Cell) -> Range:
    """A range of an option that there is, with ends that it can have."""
    key, equals, rest = text.partition("=")
    if not equals or not key or not rest.strip():
        raise SoftPromptError(f"--over {quoted(text)}: write NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=VALUE,VALUE")
    try:
        owner, name = _owned(key, cell)
        if name in (cell.method_options if owner == METHOD else cell.training_options):
            raise SoftPromptError(f"{key} is set, too: leave it out there")
        read = _ends(rest) if _RANGE.fullmatch(rest) else _choices(rest)
        one = Range(name, owner, *read) if isinstance(read[0], int | float) else Range(name, owner, choices=read)
        values: tuple[Value, ...] = one.choices or (one.low, one.high)
        canonical = tuple(canonical_value(one, value, cell) for value in values)
    except SoftPromptError as error:
        raise SoftPromptError(f"--over {key}: {error}") from None
    return Range(name, owner, one.low, one.high, one.log, one.choices, canonical if one.choices else ())


def _owned(key: str, cell: Cell) -> tuple[str, str]:
    """Whose option it is, and its name."""
    own, training = by_owner({key: None}, METHODS.get(cell.method))
    return (METHOD, next(iter(own))) if own else (TRAINING, next(iter(training)))


def _ends(text: str) -> tuple[float, float, bool]:
    """The ends of a range, and whether it is drawn in its logarithm."""
    match = _RANGE.fullmatch(text)
    assert match is not None
    low, high = (_number(end.strip()) for end in match.group(1, 2))
    log = match.group(3) is not None
    if low >= high:
        raise SoftPromptError(f"the range {quoted(text)} is empty: write its lower end first")
    if log and low <= 0:
        raise SoftPromptError(f"the range {quoted(text)} has no logarithm at {low:g}: begin above 0, or leave :log out")
    return low, high, log


def _number(text: str) -> float:
    """A number that is finite; whole ones are whole."""
    if _WHOLE.fullmatch(text) and len(text) < 16:
        return int(text)
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found) or "_" in text:
        raise SoftPromptError(f"{quoted(text)} is no number: write a range as 1e-3..1:log")
    return found


def _choices(text: str) -> tuple[str, ...]:
    """Values with commas between, or with semicolons."""
    found = tuple(one.strip() for one in text.split(";" if ";" in text else ","))
    if "" in found or len(set(found)) < len(found):
        raise SoftPromptError(f"{quoted(text)} has a value that is empty or there twice: write each once")
    return found


def canonical_value(one: Range, value: Value, cell: Cell) -> JsonValue:
    """What a value of an option comes to, in JSON.

    Raises:
        SoftPromptError: the option cannot have it beside what else is set.
    """
    changed = with_values(cell, [one], {one.name: value})
    if one.owner == METHOD:
        made: JsonValue = method(cell.method, **changed.method_options).model_dump(mode="json")[one.name]
        return made
    own: JsonValue = training_options(changed.training_options).model_dump(mode="json").get(one.name)
    return own


def with_values(cell: Cell, ranges: Iterable[Range], values: Mapping[str, Value]) -> Cell:
    """A cell whose options have other values.

    Args:
        cell: with what else is set.
        ranges: of the options.
        values: by the names of options; those that are not there are as they are.
    """
    own, training = dict(cell.method_options), dict(cell.training_options)
    for one in ranges:
        if one.name in values:
            value = values[one.name]
            empty = isinstance(value, str) and value.lower() in ("none", "null")
            (own if one.owner == METHOD else training)[one.name] = None if empty else value
    return cell.model_copy(update={"method_options": own, "training_options": training})


def usual_ranges(cell: Cell, defaults: Mapping[str, Mapping[str, JsonValue]]) -> tuple[Range, ...]:
    """What is searched over where nobody says: the rate around the default, and the length or the rank.

    Rates from a tenth to ten times the recipe's for the backbone, in their logarithm; lengths from a quarter to four
    times the default. Our choice.

    Args:
        cell: with what is set; that is not searched.
        defaults: of the method and of training, as a run on this backbone has them.

    Raises:
        SoftPromptError: there is nothing of these.
    """
    found = []
    for name in _RATES:
        rate = defaults[TRAINING].get(name)
        trains = method(cell.method, **cell.method_options).trains()
        if isinstance(rate, float) and name not in cell.training_options and trains == (name == _RATES[0]):
            found.append(Range(name, TRAINING, rate / _WIDTH, rate * _WIDTH, log=True))
    for name in _SIZES:
        count = defaults[METHOD].get(name)
        if isinstance(count, int) and name not in cell.method_options:
            found.append(Range(name, METHOD, max(1, count // _LENGTHS), count * _LENGTHS, log=True))
            break
    if not found:
        raise SoftPromptError(f"{cell.method} has no rate and no length to search: say with --over what to search")
    return tuple(found)


def default_of(one: Range, defaults: Mapping[str, Mapping[str, JsonValue]]) -> JsonValue:
    """An option's value in a run that sets nothing of it."""
    return defaults[one.owner].get(one.name)
